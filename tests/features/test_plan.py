"""The plan: what there is to do, known before any of it is done."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ldznet_cli.errors import DiskFull, ModelError, PromptError
from ldznet_cli.features import Store, plan_cache
from ldznet_cli.features.key import Storage
from ldznet_cli.ldm import FrozenLDM
from ldznet_cli.samples.images import ImageRef, sha256_of
from tests.features.conftest import World


def test_a_plan_counts_what_is_needed_and_touches_nothing(world: World, tmp_path: Path) -> None:
    plan = world.plan(tmp_path / "cache", draws=2)
    prompts = {request.prompt for unit in plan.todo for request in unit.requests}
    assert {kind: (count.needed, count.present) for kind, count in plan.counts.items()} == {
        "z": (3, 0),
        "text": (len(prompts), 0),
        "features": (3 * 3 * 2, 0),
    }
    assert set(plan.prompts) == prompts
    assert plan.missing == 3 + len(prompts) + 18
    assert set(plan.items) == {sha256_of(image.path) for image in world.images}
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("storage", ["float32", "float16", "int8"])
def test_the_bytes_foretold_are_those_written(world: World, tmp_path: Path, storage: Storage) -> None:
    cache, settings = tmp_path / "cache", world.settings(storage)
    plan = world.plan(cache, settings)
    assert plan.bytes_to_write == sum(count.bytes_to_write for count in plan.counts.values())
    world.fill(cache, settings)
    sizes = [path.stat().st_size for path in (cache / "objects").rglob("*.safetensors")]
    in_sectors = sum(-(-size // 4096) * 4096 for size in sizes)
    assert plan.bytes_to_write == pytest.approx(in_sectors, rel=0.1)


def test_what_is_there_is_not_to_be_done(world: World, tmp_path: Path) -> None:
    world.fill(tmp_path / "cache", phrases=["lamp"], draws=1)
    plan = world.plan(tmp_path / "cache", phrases=["lamp", "tree"], draws=1)
    assert (plan.counts["z"].missing, plan.counts["features"].missing) == (0, 3)
    done = world.plan(tmp_path / "cache", phrases=["lamp"], draws=1)
    assert (done.missing, done.todo, done.prompts, done.bytes_to_write) == (0, (), (), 0)


def test_images_of_the_same_content_are_one(world: World, tmp_path: Path) -> None:
    copy = ImageRef(tmp_path / "copy.png", "copy.png")
    shutil.copy(world.images[0].path, copy.path)
    asked = [(world.images[0], ["lamp"]), (copy, ["tree", " lamp "]), (world.images[0], ["cup"])]
    plan = plan_cache(asked, world.settings(), world.ldm, Store(tmp_path / "cache"))
    assert plan.items == {sha256_of(copy.path): ("cup", "lamp", "tree")}
    assert len(plan.todo) == 1


def test_unreadable_images_are_failures_of_their_own(world: World, tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.jpg").write_bytes(b"not an image")
    bad = [ImageRef(tmp_path / name, name) for name in ("empty.png", "text.jpg", "missing.png")]
    asked = [(image, ["lamp"]) for image in [bad[0], *world.images, bad[1], bad[2]]]
    plan = plan_cache(asked, world.settings(), world.ldm, Store(tmp_path / "cache"))
    assert [failure.image for failure in plan.failures] == bad
    assert all(failure.image.name in failure.error for failure in plan.failures)
    assert len(plan.items) == 3


def test_a_bad_phrase_is_refused_before_any_work(world: World, tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="empty"):
        world.plan(tmp_path / "cache", phrases=["lamp", "  "])
    with pytest.raises(PromptError, match="tokens too long"):
        world.plan(tmp_path / "cache", phrases=["lamp", "zq " * 40])
    assert not (tmp_path / "cache").exists()


def test_too_little_room_is_said_beforehand(world: World, tmp_path: Path) -> None:
    plan = world.plan(tmp_path / "cache")
    plan.require_room()
    with pytest.raises(DiskFull, match=r"needs 0.\d+ GB more and the disk has 1e-09 GB free: choose"):
        replace(plan, free_bytes=1).require_room()


def test_phrases_need_a_text_encoder(tiny_ldm: Path, world: World, tmp_path: Path) -> None:
    first_stage = FrozenLDM.load(tiny_ldm / "vae")
    alone = World(first_stage, world.images)
    with pytest.raises(ModelError, match="text encoder"):
        alone.plan(tmp_path / "cache")
    assert alone.plan(tmp_path / "cache", phrases=[]).missing == 3


def test_the_numbers_as_json(world: World, tmp_path: Path) -> None:
    numbers = world.plan(tmp_path / "cache").to_json()
    assert numbers["objects"]["z"] == {"needed": 3, "present": 0, "missing": 3, "bytes_to_write": 3 * 4096}
    assert (numbers["images"], numbers["draws"], numbers["failed"]) == (3, 2, [])


def test_a_name_that_is_no_utf_8_is_planned_like_any_other(world: World, tmp_path: Path) -> None:
    names = [os.fsdecode(b"caf\xe9.png"), os.fsdecode(b"gone\xff.png")]
    refs = [ImageRef(tmp_path / name, name) for name in names]
    try:
        shutil.copy(world.images[0].path, refs[0].path)
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    plan = plan_cache(
        [(ref, ["lamp"]) for ref in refs], world.settings(), world.ldm, Store(tmp_path / "cache")
    )
    assert [unit.image for unit in plan.todo] == [refs[0]]
    assert [failure.image for failure in plan.failures] == [refs[1]]
