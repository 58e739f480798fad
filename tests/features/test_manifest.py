"""Manifests: named by what was asked for, the same wherever it was done, refused when changed."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from ldznet_cli.errors import CacheError
from ldznet_cli.features.key import FeatureSettings
from ldznet_cli.features.manifest import Manifest, from_json, joined, read_manifests, to_json
from ldznet_cli.ldm.digests import LdmDigests
from ldznet_cli.ldm.noise import DrawPolicy
from ldznet_cli.samples.geometry import Geometry

SETTINGS = FeatureSettings(
    LdmDigests("aa", None, None, "dd"),
    Geometry("square", 128),
    DrawPolicy(4, (1, 9), "{}."),
    (5, 6),
    ldm="tiny",
)
MANIFEST = Manifest(SETTINGS, 2, {"b": ("lamp", "tree"), "a": ()}, {"arithmetic": {"threads": 1}})


def test_settings_come_back_from_json() -> None:
    assert from_json(json.loads(json.dumps(to_json(SETTINGS)))) == SETTINGS


def test_a_manifest_comes_back(tmp_path: Path) -> None:
    path = Path(MANIFEST.write(tmp_path))
    assert path == tmp_path / "manifests" / f"{MANIFEST.name}.json"
    [found] = read_manifests(tmp_path)
    assert (found.settings, found.draws) == (SETTINGS, 2)
    assert found.items == {"a": [], "b": ["lamp", "tree"]}
    assert json.loads(path.read_text())["arithmetic"] == {"threads": 1}


def test_its_name_is_what_was_asked_for_not_who_did_it() -> None:
    assert replace(MANIFEST, about={}).name == MANIFEST.name
    assert replace(MANIFEST, items={"a": (), "b": ("lamp", "tree")}).name == MANIFEST.name
    others = [
        replace(MANIFEST, draws=3),
        replace(MANIFEST, items={"b": ("lamp",), "a": ()}),
        replace(MANIFEST, settings=replace(SETTINGS, blocks=(5,))),
        replace(MANIFEST, settings=replace(SETTINGS, policy=DrawPolicy(5, (1, 9), "{}."))),
    ]
    assert len({other.name for other in [*others, MANIFEST]}) == 5


def test_one_that_is_there_is_left_alone(tmp_path: Path) -> None:
    path = Path(MANIFEST.write(tmp_path))
    before = path.stat().st_mtime_ns, path.read_bytes()
    replace(MANIFEST, about={"arithmetic": {"threads": 9}}).write(tmp_path)
    assert (path.stat().st_mtime_ns, path.read_bytes()) == before


def test_the_newest_comes_first(tmp_path: Path) -> None:
    for age, draws in enumerate((4, 2, 3)):
        path = Path(replace(MANIFEST, draws=draws).write(tmp_path))
        os.utime(path, (1000 - age, 1000 - age))
    assert [manifest.draws for manifest in read_manifests(tmp_path)] == [4, 2, 3]


@pytest.mark.parametrize(("make", "message"), [(True, "holds no finished run"), (False, "is not there")])
def test_without_any_it_says_how_to_make_one(tmp_path: Path, make: bool, message: str) -> None:
    cache = tmp_path / "cache"
    if make:
        cache.mkdir()
    with pytest.raises(CacheError, match=f"{cache} {message}; `ldznet cache-features"):
        read_manifests(cache)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"format":"other/1"}', '{"format":"ldznet.cache/1","settings":[]}']
)
def test_what_is_no_manifest_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = Path(MANIFEST.write(tmp_path))
    path.write_text(text)
    with pytest.raises(CacheError, match=f"{path} cannot be read"):
        read_manifests(tmp_path)


def test_a_changed_manifest_is_refused(tmp_path: Path) -> None:
    path = Path(MANIFEST.write(tmp_path))
    path.write_text(path.read_text().replace("lamp", "lump"))
    with pytest.raises(CacheError, match="it has changed since it was written"):
        read_manifests(tmp_path)


def test_of_z_and_text_it_does_not_matter_whether_the_unet_was_there(tmp_path: Path) -> None:
    bare = replace(MANIFEST, settings=replace(SETTINGS, blocks=()), items={"b": ("lamp",)})
    beside = replace(bare, settings=replace(bare.settings, digests=LdmDigests("aa", None, "cc", "dd")))
    other = replace(beside, items={"c": ("tree",)})
    assert joined(bare, [bare, other]).items == {"b": ["lamp"], "c": ["tree"]}
    with_blocks = [replace(run, settings=replace(run.settings, blocks=(5,))) for run in (bare, other)]
    assert joined(with_blocks[0], with_blocks).items == {"b": ["lamp"]}
    assert bare.settings.made_with(other.settings.digests)
    assert not with_blocks[0].settings.made_with(other.settings.digests)
