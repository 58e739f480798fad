"""Several processes over one cache, without locks: objects are immutable, so whoever comes first is right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ldznet_cli.engines import RehearsedEngine
from ldznet_cli.features import CachedFeatures, FeatureItem, RunDone, Shard, Store, cache_features, plan_cache
from ldznet_cli.ldm import FrozenLDM
from tests.faults.scene import all_whole, ended, forked, is_finished, objects_in, until, world_of
from tests.features.conftest import PHRASES, World

WRITERS = 8


def fill_overlapping(world: World, cache: Path, number: int, start: Path) -> None:
    """In a child: half of the images, from another one on for each writer, in batches of another size."""
    own = (world.images * 2)[number : number + len(world.images) // 2]
    until(start.exists)
    replace(world, images=own).fill(cache, batch=1 + number % 4)


def test_eight_processes_fill_one_cache_at_once(ldm: FrozenLDM, tmp_path: Path) -> None:
    world, cache, start = world_of(ldm, tmp_path / "images", 12), tmp_path / "cache", tmp_path / "start"
    children = [
        forked(lambda number=number: fill_overlapping(world, cache, number, start))
        for number in range(WRITERS)
    ]
    start.touch()
    until(lambda: is_finished(cache))
    assert all_whole(cache)  # while most are at work
    assert [ended(child) for child in children] == [0] * WRITERS
    assert all_whole(cache)
    world.fill(tmp_path / "alone", batch=4)
    assert set(Store(cache).names()) == set(Store(tmp_path / "alone").names())
    assert world.fill(cache).objects == 0
    assert {path.suffix for path in cache.rglob("*") if path.is_file()} == {".safetensors", ".json"}
    items = [FeatureItem(phrase, draw) for phrase in PHRASES for draw in range(2)]
    together, alone = (CachedFeatures.open(tmp_path / name) for name in ("cache", "alone"))
    for image in world.images:
        for one, other in zip(together.features(image, items), alone.features(image, items), strict=True):
            assert torch.equal(one.z, other.z)
            assert torch.equal(one.text, other.text)
            for index in one.blocks:
                torch.testing.assert_close(one.blocks[index], other.blocks[index], rtol=1e-5, atol=1e-5)


def run_of(world: World, cache: Path, shard: Shard) -> RunDone:
    plan = plan_cache(
        [(i, PHRASES) for i in world.images], world.settings(), world.ldm, Store(cache), shard=shard
    )
    *_, done = cache_features(plan, world.ldm, Store(cache), batch=4)
    assert isinstance(done, RunDone)
    return done


def test_shards_are_the_whole_in_parts(ldm: FrozenLDM, tmp_path: Path) -> None:
    """Each makes its own images, none makes another's; the whole run after them has nothing to do but its manifest."""
    world, cache = world_of(ldm, tmp_path / "images", 9), tmp_path / "cache"
    whole = run_of(world, tmp_path / "whole", Shard())
    parts = [run_of(world, cache, Shard(number, 3)) for number in (1, 2, 3)]
    assert all(0 < part.objects < whole.objects for part in parts)
    assert sum(part.objects for part in parts) == whole.objects
    for path in (tmp_path / "whole" / "objects").rglob("*.safetensors"):
        assert (cache / "objects" / path.parent.name / path.name).read_bytes() == path.read_bytes()
    cached = CachedFeatures.open(cache)
    assert all(cached.phrases(image) == tuple(sorted(PHRASES)) for image in world.images)
    last = run_of(world, cache, Shard())
    assert (last.objects, Path(last.manifest or "").name) == (0, Path(whole.manifest or "?").name)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_rehearsed_cluster_leaves_the_same_bytes(ldm: FrozenLDM, tmp_path: Path, seed: int) -> None:
    """Chunks in any order, workers lost in the middle of one."""
    world, cache = world_of(ldm, tmp_path / "images", 9), tmp_path / "cache"
    plan, engine = world.plan(cache), RehearsedEngine(workers=3, chunk=2, lost=(1, 3), seed=seed)
    *events, done = cache_features(plan, ldm, Store(cache), batch=4, engine=engine)
    assert isinstance(done, RunDone)
    assert len(events) >= 9
    world.fill(tmp_path / "alone", batch=4)
    below = [
        sorted(path.relative_to(tmp_path / name) for path in (tmp_path / name).rglob("*"))
        for name in ("cache", "alone")
    ]
    assert below[0] == below[1]
    assert all(
        (cache / path).read_bytes() == (tmp_path / "alone" / path).read_bytes()
        for path in below[0]
        if (cache / path).is_file()
    )
    assert objects_in(cache) == plan.missing
