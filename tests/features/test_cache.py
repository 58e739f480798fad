"""Filling a cache: nothing twice, nothing half, nothing that depends on how it came about."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch

from ldznet_cli.errors import CacheError, DiskFull, NotFinite
from ldznet_cli.features import (
    CachedFeatures,
    FeatureItem,
    RunDone,
    Store,
    TextDone,
    UnitDone,
    UnitFailed,
    cache_features,
    plan_cache,
)
from ldznet_cli.features.key import Key, digest
from ldznet_cli.features.objects import CachedObject
from ldznet_cli.features.store import file_of
from ldznet_cli.ldm import FrozenLDM
from ldznet_cli.samples.images import ImageRef, read_view, sha256_of, to_tensor
from tests.faults.scene import ended, forked, kill, until
from tests.features.conftest import PHRASES, World, draw_image

Files = Callable[[Path], dict[str, bytes]]


@contextmanager
def counting(monkeypatch: pytest.MonkeyPatch, *, stop_after: int | None = None) -> Iterator[dict[str, int]]:
    """Counts the calls of the model; the call after `stop_after` of the UNet's is a Ctrl-C."""
    calls = {"encode_image": 0, "encode_text": 0, "features": 0}

    def counted(name: str) -> Callable[..., object]:
        original = getattr(FrozenLDM, name)

        def call(*args: object, **options: object) -> object:
            if name == "features" and calls[name] == stop_after:
                raise KeyboardInterrupt
            calls[name] += 1
            return original(*args, **options)

        return call

    with monkeypatch.context() as patch:
        for name in calls:
            patch.setattr(FrozenLDM, name, counted(name))
        yield calls


def test_a_run_tells_what_it_does_and_makes_what_was_planned(world: World, tmp_path: Path) -> None:
    plan, store = world.plan(tmp_path / "cache"), Store(tmp_path / "cache")
    events = list(cache_features(plan, world.ldm, store, batch=4))
    texts = [prompt for event in events if isinstance(event, TextDone) for prompt in event.prompts]
    assert texts == list(plan.prompts)
    assert [event.unit for event in events if isinstance(event, UnitDone)] == list(plan.todo)
    assert {event.objects for event in events if isinstance(event, UnitDone)} == {1 + 2 * len(PHRASES)}
    last = events[-1]
    assert isinstance(last, RunDone)
    assert (last.objects, last.failures) == (plan.missing, ())
    assert last.bytes == sum(store.path_of(name).stat().st_size for name in store.names())
    assert len(list(store.names())) == plan.missing
    assert 0 <= last.waited <= last.seconds


def test_the_manifest_says_all_that_was_done(world: World, tmp_path: Path) -> None:
    done = world.fill(tmp_path / "cache", batch=4)
    assert done.manifest is not None
    manifest = json.loads(Path(done.manifest).read_text())
    assert manifest["items"] == {sha256_of(image.path): sorted(PHRASES) for image in world.images}
    assert manifest["settings"]["digests"] == world.ldm.digests.to_dict()
    assert manifest["settings"]["policy"] == {"seed": 3, "timesteps": [300, 500], "template": None}
    assert manifest["arithmetic"]["batch"] == 4
    assert manifest["arithmetic"]["threads"] == torch.get_num_threads()
    assert manifest["versions"]["torch"] == version("torch")  # the package's: without the build, as +cpu
    assert manifest["draws"] == 2
    assert not (tmp_path / "cache" / "failed.jsonl").exists()


def test_a_second_run_runs_no_model_and_changes_no_file(
    world: World, tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    with counting(monkeypatch) as calls:
        world.fill(tmp_path / "cache", batch=4)
        prompts = len(world.plan(tmp_path / "empty").prompts)
        assert calls == {"encode_image": 3, "encode_text": prompts, "features": 3 * 2}
    before = files(tmp_path / "cache")
    with counting(monkeypatch) as calls:
        done = world.fill(tmp_path / "cache", batch=4)
        assert set(calls.values()) == {0}
    assert (done.objects, done.bytes) == (0, 0)
    assert files(tmp_path / "cache") == before


@pytest.mark.parametrize("stop_after", range(6))
def test_interrupted_and_resumed_is_uninterrupted_to_the_last_byte(
    world: World, tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    world.fill(tmp_path / "whole", batch=4)
    with counting(monkeypatch, stop_after=stop_after), pytest.raises(KeyboardInterrupt):
        world.fill(tmp_path / "cache", batch=4)
    store = Store(tmp_path / "cache")
    assert all(store.is_whole(name) for name in store.names())
    assert not list(store.root.rglob("*.part"))
    assert not (store.root / "manifests").exists()
    assert 0 < len(list(store.names())) < len(list(Store(tmp_path / "whole").names()))
    with counting(monkeypatch) as calls:
        world.fill(tmp_path / "cache", batch=4)
        assert calls["features"] <= 6 - stop_after + 2  # what was computed and not yet saved
        assert calls["encode_text"] == 0
    assert files(tmp_path / "cache") == files(tmp_path / "whole")


def test_killed_and_resumed_is_uninterrupted_to_the_last_byte(
    world: World, tmp_path: Path, files: Files
) -> None:
    """SIGKILL, each time after at least one new object, until the run gets through."""
    world.fill(tmp_path / "whole", batch=2)
    store, kills = Store(tmp_path / "cache"), 0
    while not (store.root / "manifests").exists():
        before = len(list(store.names()))
        child = forked(lambda: world.fill(store.root, batch=2))
        until(lambda: len(list(store.names())) > before or (store.root / "manifests").exists())  # noqa: B023
        kill(child)
        ended(child)
        kills += 1
        assert all(store.is_whole(name) for name in store.names())
        if kills == 8:
            world.fill(store.root, batch=2)
    assert kills > 2
    world.fill(store.root, batch=2)
    assert files(store.root) == files(tmp_path / "whole")


def test_values_do_not_depend_on_what_is_beside_a_unit(world: World, tmp_path: Path, files: Files) -> None:
    """All at once, image by image, phrase by phrase of other images first: the same objects."""
    world.fill(tmp_path / "whole", batch=4)
    for image in world.images[::-1]:
        replace(world, images=[image]).fill(tmp_path / "apart", batch=4)
    whole, apart = (files(tmp_path / name / "objects") for name in ("whole", "apart"))
    assert whole == apart


def test_batch_shapes_agree_to_a_hundred_thousandth(world: World, tmp_path: Path) -> None:
    items = [FeatureItem(phrase, draw) for phrase in PHRASES for draw in range(2)]
    found = []
    for batch in (1, 3, 8):
        world.fill(tmp_path / str(batch), batch=batch)
        found.append(CachedFeatures.open(tmp_path / str(batch)).features(world.images[1], items))
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            assert torch.equal(one.text, two.text)
            assert torch.equal(one.z, two.z)
            for index in one.blocks:
                torch.testing.assert_close(one.blocks[index], two.blocks[index], rtol=1e-5, atol=1e-5)


def test_threads_are_recorded_and_agree_to_a_hundred_thousandth(world: World, tmp_path: Path) -> None:
    found = []
    for threads in (1, 2):
        cache = tmp_path / str(threads)
        plan = replace(world, images=world.images[:1]).plan(cache, phrases=["lamp"], draws=1)
        list(cache_features(plan, world.ldm, Store(cache), batch=2, threads=threads))
        cached = CachedFeatures.open(cache)
        found.append(cached.features(world.images[0], [FeatureItem("lamp")])[0])
        key = cached.settings.z_key(sha256_of(world.images[0].path))
        assert Store(cache).read(key).made["threads"] == threads
    for index, block in found[0].blocks.items():
        torch.testing.assert_close(block, found[1].blocks[index], rtol=1e-5, atol=1e-5)


def test_whichever_object_is_there_first_is_kept(world: World, tmp_path: Path, files: Files) -> None:
    world.fill(tmp_path / "cache", batch=1)
    before = files(tmp_path / "cache" / "objects")
    world.fill(tmp_path / "cache", phrases=[*PHRASES, "boat"], batch=8)
    after = files(tmp_path / "cache" / "objects")
    assert before.items() < after.items()
    assert sum(b'\\"kind\\":\\"features\\"' in data for data in after.values()) == 3 * 2 * 4


def test_moving_and_renaming_images_changes_nothing(
    world: World, tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.fill(tmp_path / "cache")
    before = files(tmp_path / "cache")
    moved = []
    for number, image in enumerate(world.images):
        path = tmp_path / "elsewhere" / f"renamed-{9 - number}.png"
        path.parent.mkdir(exist_ok=True)
        shutil.move(image.path, path)
        moved.append(ImageRef(path, path.name))
    with counting(monkeypatch) as calls:
        assert replace(world, images=moved[::-1]).fill(tmp_path / "cache").objects == 0
        assert set(calls.values()) == {0}
    assert files(tmp_path / "cache") == before


def test_z_only_runs_no_unet_and_its_z_serves_features_later(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    with counting(monkeypatch) as calls:
        world.fill(cache, world.settings(z_only=True))
        assert calls["features"] == 0
    with counting(monkeypatch) as calls:
        world.fill(cache)
        assert (calls["encode_image"], calls["encode_text"]) == (0, 0)
        assert calls["features"] > 0
    world.fill(tmp_path / "at once")
    resumed, at_once = (
        CachedFeatures.open(tmp_path / name, blocks=world.ldm.blocks).features(
            world.images[0], [FeatureItem("lamp")]
        )
        for name in ("cache", "at once")
    )
    assert all(torch.equal(resumed[0].blocks[i], at_once[0].blocks[i]) for i in world.ldm.blocks)


def test_text_states_that_are_there_are_fetched_ahead(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the readers, as images are: far away each one takes a while, and the model would stand still."""
    world.fill(tmp_path / "cache", world.settings(z_only=True))
    read, readers = Store.read, []

    def telling(store: Store, key: Key) -> CachedObject:
        if key["kind"] == "text":
            readers.append(threading.current_thread() is not threading.main_thread())
        return read(store, key)

    monkeypatch.setattr(Store, "read", telling)
    world.fill(tmp_path / "cache")
    assert readers
    assert all(readers)


def test_an_unreadable_image_fails_alone(world: World, tmp_path: Path) -> None:
    truncated, empty = tmp_path / "truncated.png", tmp_path / "empty.png"
    truncated.write_bytes(world.images[0].path.read_bytes()[:2000])
    empty.write_bytes(b"")
    bad = [ImageRef(path, path.name) for path in (empty, truncated)]
    refs = [bad[0], world.images[0], bad[1], *world.images[1:]]
    mixed = World(world.ldm, refs, world.geometry, world.policy)
    store = Store(tmp_path / "cache")
    events = list(cache_features(mixed.plan(store.root), world.ldm, store))
    last = events[-1]
    assert isinstance(last, RunDone)
    assert [event.failure.image for event in events if isinstance(event, UnitFailed)] == [bad[1]]
    assert [failure.image for failure in last.failures] == bad
    lines = [json.loads(line) for line in (store.root / "failed.jsonl").read_text().splitlines()]
    assert [line["image"] for line in lines] == [str(empty), str(truncated)]
    assert "0 bytes" in lines[0]["error"]
    assert "truncated" in lines[1]["error"]
    assert CachedFeatures.open(store.root).manifest.items.keys() == {sha256_of(i.path) for i in world.images}
    truncated.write_bytes(world.images[0].path.read_bytes())
    empty.unlink()
    shutil.copy(world.images[1].path, empty)
    assert mixed.fill(store.root).failures == ()
    assert not (store.root / "failed.jsonl").exists()


def test_without_any_readable_image_there_is_no_manifest(world: World, tmp_path: Path) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(world.images[0].path.read_bytes()[:2000])
    done = World(world.ldm, [ImageRef(path, "bad.png")]).fill(tmp_path / "cache")
    assert done.manifest is None
    assert len(done.failures) == 1


def test_an_image_that_changes_during_the_run_fails(world: World, tmp_path: Path) -> None:
    plan = world.plan(tmp_path / "cache")
    draw_image(world.images[1].path, seed=99)
    *_, done = cache_features(plan, world.ldm, Store(tmp_path / "cache"))
    assert isinstance(done, RunDone)
    [failure] = done.failures
    assert failure.image == world.images[1]
    assert "has changed since this run began" in failure.error


@pytest.mark.parametrize("damage", ["truncated", "zero", "flipped"])
def test_damaged_objects_that_a_run_meets_are_made_anew(
    world: World, tmp_path: Path, files: Files, damage: str
) -> None:
    """A flipped bit is seen when an object is read: z and text are, when more features of the image are wanted."""
    cache = tmp_path / "cache"
    world.fill(cache)
    before = files(cache / "objects")
    for name, data in before.items():
        if damage != "flipped" or b'\\"kind\\":\\"features\\"' not in data:
            damaged = bytearray(data)
            damaged[-2] ^= 1
            (cache / "objects" / name).write_bytes(
                {"truncated": data[:-9], "zero": b"", "flipped": damaged}[damage]
            )
    if damage == "flipped":
        for name, data in before.items():
            if b'\\"kind\\":\\"features\\"' in data:
                (cache / "objects" / name).unlink()
    world.fill(cache)
    assert files(cache / "objects") == before


def test_a_full_disk_stops_the_run_and_it_goes_on_later(
    world: World, tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.fill(tmp_path / "whole")
    synced, sync = [], os.fsync

    def runs_full(file: int) -> None:
        synced.append(file)
        if len(synced) > 20:
            raise OSError(28, "No space left on device")
        sync(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", runs_full)
        with pytest.raises(DiskFull, match="make room and run the same command again"):
            world.fill(tmp_path / "cache")
    store = Store(tmp_path / "cache")
    assert len(list(store.names())) == 20
    assert all(store.is_whole(name) for name in store.names())
    assert not list(store.root.rglob("*.part"))
    world.fill(tmp_path / "cache")
    assert files(tmp_path / "cache") == files(tmp_path / "whole")


def test_a_disk_too_small_is_refused_before_any_work(world: World, tmp_path: Path) -> None:
    plan = replace(world.plan(tmp_path / "cache"), free_bytes=1000)
    with pytest.raises(DiskFull, match="the cache needs"):
        list(cache_features(plan, world.ldm, Store(tmp_path / "cache")))
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("step", [0, 1])
def test_an_image_whose_values_are_too_large_for_the_storage_is_left_out(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Of z (step 0) and of features: the others are done, and with a wider type it is, too."""
    spoilt = world.images[1]
    z = world.ldm.encode_image(to_tensor(read_view(spoilt), world.geometry))
    originals = FrozenLDM.encode_image, FrozenLDM.features

    def encoded(ldm: FrozenLDM, pixels: Any) -> Any:
        found = originals[0](ldm, pixels)
        return found / (0 if found.shape == z.shape and torch.equal(found, z) else 1)

    def features(ldm: FrozenLDM, latent: Any, *rest: Any) -> Any:
        factor = 1e6 if latent.shape[1:] == z.shape[1:] and torch.equal(latent[:1], z) else 1.0
        return {i: factor * block for i, block in originals[1](ldm, latent, *rest).items()}

    with monkeypatch.context() as patch:
        patch.setattr(FrozenLDM, *(("encode_image", encoded), ("features", features))[step])
        done = world.fill(tmp_path / "cache", world.settings("float16"))
        [failure] = done.failures
        assert failure.image == spoilt
        advice = r"tensor (z is not finite in float32|\d is not finite in float16); a wider --storage-dtype"
        assert re.search(f"^{re.escape(str(spoilt.path))}: .*{advice}", failure.error)
        listed = [json.loads(line) for line in (tmp_path / "cache" / "failed.jsonl").read_text().splitlines()]
        assert [line["image"] for line in listed] == [str(spoilt.path)]
        cached = CachedFeatures.open(tmp_path / "cache")
        assert cached.manifest.items.keys() == {
            sha256_of(image.path) for image in world.images if image != spoilt
        }
        if step:
            assert world.fill(tmp_path / "cache", world.settings("bfloat16")).failures == ()
    assert world.fill(tmp_path / "cache", world.settings("float16")).failures == ()


def test_text_states_that_are_not_finite_end_the_run_with_their_prompt(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = FrozenLDM.encode_text
    monkeypatch.setattr(FrozenLDM, "encode_text", lambda *args: original(*args) / 0)
    with pytest.raises(NotFinite, match=r"the text of image -, prompt '.*lamp.*': tensor text is not finite"):
        world.fill(tmp_path / "cache", phrases=["lamp"], draws=1)


def test_an_object_s_key_is_its_name_and_says_what_it_is(world: World, tmp_path: Path) -> None:
    world.fill(tmp_path / "cache", batch=4)
    store, kinds = Store(tmp_path / "cache"), {"z": 0, "text": 0, "features": 0}
    for name in store.names():
        key = json.loads(_metadata(store.path_of(name)))["key"]
        found = store.read(key)
        assert digest(key) == name
        assert found.made["batch"] == (3 if key["kind"] == "features" else 1)  # 6 rows, at most 4 at once
        kinds[key["kind"]] += 1
    assert (kinds["z"], kinds["features"]) == (3, 18)


def _metadata(path: Path) -> str:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return str(file.metadata()["ldznet"])


def test_two_images_of_one_content_are_computed_once(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = ImageRef(tmp_path / "copy.png", "copy.png")
    shutil.copy(world.images[0].path, copy.path)
    store = Store(tmp_path / "cache")
    plan = plan_cache([(world.images[0], ["lamp"]), (copy, ["lamp"])], world.settings(), world.ldm, store)
    with counting(monkeypatch) as calls:
        list(cache_features(plan, world.ldm, store))
        assert calls == {"encode_image": 1, "encode_text": 1, "features": 1}


@pytest.mark.parametrize("kind", ["z", "text", "features"])
def test_what_is_pruned_beside_a_run_stands_in_no_manifest(
    world: World, tmp_path: Path, files: Files, kind: str
) -> None:
    """A run goes on with what one that was stopped has left; that is nobody's, and old."""
    world.fill(tmp_path / "whole")
    done = world.fill(tmp_path / "cache")
    Path(str(done.manifest)).unlink()
    store = Store(tmp_path / "cache")
    plan = world.plan(store.root)
    pruned = next(name for name in store.names() if store.kind_of(name) == kind)
    store.place.delete(file_of(pruned))
    with pytest.raises(CacheError, match=f"1 objects that were in .* are gone, such as .*{pruned}"):
        list(cache_features(plan, world.ldm, store))
    assert list(store.place.entries("manifests")) == []
    world.fill(store.root)
    assert files(store.root) == files(tmp_path / "whole")


def test_an_earlier_run_s_manifest_is_not_taken_back(world: World, tmp_path: Path) -> None:
    done = world.fill(tmp_path / "cache")
    store = Store(tmp_path / "cache")
    plan = world.plan(store.root)
    store.place.delete(file_of(next(iter(store.names()))))
    with pytest.raises(CacheError, match="are gone"):
        list(cache_features(plan, world.ldm, store))
    assert Path(str(done.manifest)).exists()


def test_who_only_gathers_what_others_made_says_how_they_did(world: World, tmp_path: Path) -> None:
    """As after a job array on other processors: repairing goes by it."""
    cache = tmp_path / "cache"
    for image in world.images:
        replace(world, images=[image]).fill(cache, batch=3)
    done = world.fill(cache, batch=8)
    assert done.objects == 0
    assert json.loads(Path(str(done.manifest)).read_text())["arithmetic"]["batch"] == 3
    other = world.fill(cache, phrases=["lamp"], draws=1, batch=8)  # no run has these draws
    assert json.loads(Path(str(other.manifest)).read_text())["arithmetic"]["batch"] == 8
