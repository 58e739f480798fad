"""What lies in a cache, against what its manifests name."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from ldznet_cli.errors import CacheError
from ldznet_cli.features import Store
from ldznet_cli.features.census import Census, describe
from ldznet_cli.features.key import digest
from ldznet_cli.features.manifest import joined, read_manifests
from tests.features.conftest import PHRASES, Finished


def test_a_finished_cache_is_all_named_and_all_there(finished: Finished) -> None:
    census = Census(finished.store)
    assert (census.missing, census.unlisted, census.broken) == ([], [], [])
    assert census.kinds.keys() == census.objects.keys() == set(finished.store.names())
    assert all(census.kinds[name] == finished.store.kind_of(name) for name in census.objects)
    name = next(iter(census.objects))
    assert digest(census.key_of(name) or {}) == name


def test_what_is_missing_and_what_is_nobody_s(finished: Finished) -> None:
    [first, second, *_] = finished.store.names()
    stranger = finished.store.path_of("ee" * 32)
    stranger.parent.mkdir(exist_ok=True)
    finished.store.path_of(first).rename(stranger)
    (finished.cache / "objects" / second[:2] / "notes.txt").write_text("not an object")
    census = Census(finished.store)
    assert census.missing == [first]
    assert census.unlisted == ["ee" * 32]
    assert census.key_of("ee" * 32) is None


def test_it_is_described_in_numbers(finished: Finished) -> None:
    [manifest] = (finished.cache / "manifests").iterdir()
    os.utime(manifest, (1000, 1000))
    found = describe(finished.store, now=1100.0)
    assert json.loads(json.dumps(found)) == found
    assert {kind: of["count"] for kind, of in found["objects"].items()} == {
        "z": 2,
        "text": len(finished.of_kind("text")),
        "features": 2 * 2 * len(PHRASES),
    }
    assert sum(of["bytes"] for of in found["objects"].values()) == sum(
        path.stat().st_size for path in (finished.cache / "objects").rglob("*.safetensors")
    )
    assert found["in_no_manifest"] == {"count": 0, "bytes": 0}
    [run] = found["runs"]
    assert (run["age"], run["images"], run["phrases"], run["draws"], run["missing"]) == (100, 2, 6, 2, 0)
    assert run["settings"]["storage"] == "float32"
    assert run["arithmetic"]["batch"] == 4


def test_a_run_under_way_is_described_by_the_headers(finished: Finished) -> None:
    for manifest in (finished.cache / "manifests").iterdir():
        manifest.unlink()
    finished.of_kind("z")[0].write_bytes(b"")
    found = describe(finished.store)
    assert found["objects"]["z"]["count"] == 1
    assert found["objects"]["damaged"]["count"] == 1
    assert found["in_no_manifest"]["count"] == len(list(finished.store.names()))
    assert found["runs"] == []


def test_a_broken_manifest_is_said(finished: Finished) -> None:
    [manifest] = (finished.cache / "manifests").iterdir()
    manifest.write_text("{")
    assert [str(manifest) in error for error in describe(finished.store)["unreadable_manifests"]] == [True]


def test_a_cache_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match=f"the cache {tmp_path / 'none'} is not there"):
        describe(Store(tmp_path / "none"))


def test_shards_are_one_cache(finished: Finished) -> None:
    [whole] = read_manifests(finished.cache)
    shards = [replace(whole, items={image: phrases}) for image, phrases in whole.items.items()]
    others = [replace(whole, draws=9, items={"cc": ["boat"]}), *shards]
    assert joined(shards[0], others).items == whole.items
