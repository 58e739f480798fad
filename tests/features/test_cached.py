"""Cached features: the same as live ones, or an error that names what is wrong."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ldznet_cli.errors import CacheError, CacheMismatch
from ldznet_cli.features import CachedFeatures, FeatureItem, LiveFeatures, SampleFeatures, Store
from ldznet_cli.features.key import Storage
from ldznet_cli.features.manifest import read_manifests
from ldznet_cli.ldm import DrawPolicy, FrozenLDM, packing
from ldznet_cli.ldm.packing import can_pack
from ldznet_cli.samples.images import Geometry, ImageRef
from tests.features.conftest import PHRASES, World
from tests.tiny import tiny_ldm as build

UNIT = [FeatureItem(phrase, draw) for phrase in PHRASES for draw in (1, 0)]


def pairs(one: list[SampleFeatures], other: list[SampleFeatures]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    for a, b in zip(one, other, strict=True):
        assert (a.prompt, a.timestep, a.blocks.keys()) == (b.prompt, b.timestep, b.blocks.keys())
    return [
        pair
        for a, b in zip(one, other, strict=True)
        for pair in [(a.z, b.z), (a.text, b.text), *((a.blocks[i], b.blocks[i]) for i in a.blocks)]
    ]


def assert_the_same_bits(world: World, cache: Path) -> None:
    world.fill(cache, world.settings("float32"), batch=4)
    cached = CachedFeatures.open(cache)
    live = LiveFeatures(world.ldm, world.geometry, world.policy, batch=4)
    for image in world.images:
        for one, other in pairs(cached.features(image, UNIT), live.features(image, UNIT)):
            assert torch.equal(one, other)


def test_in_float32_cached_is_live_to_the_last_bit(world: World, tmp_path: Path) -> None:
    assert_the_same_bits(world, tmp_path / "cache")


@pytest.mark.skipif(not can_pack(torch.float32), reason="weights are packed on x86 processors alone")
def test_so_they_are_with_weights_packed_as_a_large_model_s(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "LARGE", 0)
    assert world.ldm.folder is not None
    assert_the_same_bits(replace(world, ldm=FrozenLDM.load(world.ldm.folder)), tmp_path / "cache")


@pytest.mark.parametrize(("storage", "relative"), [("float16", 2**-11), ("bfloat16", 2**-8), ("int8", None)])
def test_else_cached_is_live_within_the_rounding_of_the_dtype(
    world: World, tmp_path: Path, storage: Storage, relative: float | None
) -> None:
    world.fill(tmp_path / "cache", world.settings(storage), batch=4)
    cached = CachedFeatures.open(tmp_path / "cache").features(world.images[1], UNIT)
    live = LiveFeatures(world.ldm, world.geometry, world.policy, batch=4).features(world.images[1], UNIT)
    for one, other in zip(cached, live, strict=True):
        assert torch.equal(one.z, other.z)
        assert torch.equal(one.text, other.text)
        for index, block in one.blocks.items():
            exact = other.blocks[index]
            peak = exact.abs().amax(dim=(1, 2), keepdim=True)
            bound = peak * 0.5001 / 127 if relative is None else exact.abs() * relative + 1e-7
            assert torch.all((block - exact).abs() <= bound)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_in_half_precision_z_and_text_lose_nothing(
    tiny_ldm: Path, world: World, tmp_path: Path, dtype: torch.dtype
) -> None:
    half = World(FrozenLDM.load(tiny_ldm, dtype=dtype), world.images[:1])
    half.fill(tmp_path / "cache", half.settings("float32"), batch=4)
    cached = CachedFeatures.open(tmp_path / "cache", compute=half.settings().compute)
    live = LiveFeatures(half.ldm, half.geometry, half.policy, batch=4)
    for one, other in pairs(cached.features(half.images[0], UNIT), live.features(half.images[0], UNIT)):
        assert torch.equal(one, other)


def test_images_are_known_by_content(world: World, tmp_path: Path) -> None:
    world.fill(tmp_path / "cache")
    moved = ImageRef(tmp_path / "elsewhere.png", "elsewhere.png")
    shutil.move(world.images[0].path, moved.path)
    cached = CachedFeatures.open(tmp_path / "cache")
    assert cached.phrases(moved) == tuple(sorted(PHRASES))
    assert len(cached.features(moved, UNIT)) == len(UNIT)


def test_an_image_that_changes_is_another_image(world: World, tmp_path: Path) -> None:
    world.fill(tmp_path / "cache")
    cached = CachedFeatures.open(tmp_path / "cache")
    cached.features(world.images[0], UNIT)
    shutil.copy(world.images[1].path, world.images[0].path)
    assert torch.equal(
        cached.features(world.images[0], UNIT)[0].z, cached.features(world.images[1], UNIT)[0].z
    )


def test_fewer_blocks_and_none(world: World, tmp_path: Path) -> None:
    world.fill(tmp_path / "cache")
    two = CachedFeatures.open(tmp_path / "cache", blocks=world.ldm.blocks[1:3])
    assert list(two.features(world.images[0], UNIT)[0].blocks) == list(world.ldm.blocks[1:3])
    none = CachedFeatures.open(tmp_path / "cache", blocks=())
    assert none.features(world.images[0], UNIT)[0].blocks == {}


def test_what_is_missing_is_named_with_what_to_do(world: World, tmp_path: Path) -> None:
    world.fill(tmp_path / "cache")
    cached = CachedFeatures.open(tmp_path / "cache")
    with pytest.raises(CacheError, match=r"has no (text|features) for .*'umbrella'"):
        cached.features(world.images[1], [FeatureItem("umbrella")])
    with pytest.raises(CacheError, match=r"'lamp', draw 7; run `ldznet cache-features`.* --draws 8"):
        cached.features(world.images[1], [FeatureItem("lamp", 7)])
    new = ImageRef(tmp_path / "new.png", "new.png")
    new.path.write_bytes(world.images[0].path.read_bytes() + b"more")
    with pytest.raises(CacheError, match=r"has no z for image new.png; run `ldznet cache-features`"):
        cached.features(new, UNIT)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "zero"])
@pytest.mark.parametrize("kind", ["z", "text", "features"])
def test_a_damaged_object_is_refused_by_name(world: World, tmp_path: Path, kind: str, damage: str) -> None:
    world.fill(tmp_path / "cache", phrases=["lamp"], draws=1)
    store = Store(tmp_path / "cache")
    found = {name: store.path_of(name) for name in store.names()}
    for path in found.values():
        data = bytearray(path.read_bytes())
        if f'"kind\\":\\"{kind}\\"'.encode() not in data:
            continue
        data[-3] ^= 16
        path.write_bytes({"truncated": data[:-5], "flipped": data, "zero": b""}[damage])
    with pytest.raises(CacheError, match=str(tmp_path / "cache" / "objects")) as refused:
        CachedFeatures.open(tmp_path / "cache").features(world.images[0], [FeatureItem("lamp")])
    assert "is damaged" in str(refused.value)


def test_a_cache_of_another_ldm_is_refused_by_field(world: World, tmp_path: Path) -> None:
    world.fill(tmp_path / "cache")
    other = FrozenLDM.load(build(tmp_path / "other", seed=1))
    with pytest.raises(
        CacheMismatch, match=r"the LDM's first_stage: expected .*, found .*--cache"
    ) as refused:
        CachedFeatures.open(tmp_path / "cache", ldm_digests=other.digests)
    assert refused.value.field == "the LDM's first_stage"
    only_unet = replace(world.ldm.digests, unet="ff" * 32)
    with pytest.raises(CacheMismatch, match="the LDM's unet"):
        CachedFeatures.open(tmp_path / "cache", ldm_digests=only_unet)
    CachedFeatures.open(tmp_path / "cache", ldm_digests=only_unet, blocks=())


def test_the_nearest_run_is_the_one_compared_with(world: World, tmp_path: Path) -> None:
    world.fill(tmp_path / "cache")
    other = World(world.ldm, world.images[:1], Geometry("square", 96), DrawPolicy(seed=9))
    other.fill(tmp_path / "cache", other.settings("float16"))
    with pytest.raises(CacheMismatch, match=r"differs in seed: expected 3, found 9"):
        CachedFeatures.open(
            tmp_path / "cache", geometry=other.geometry, policy=world.policy, storage="float16"
        )


def test_the_run_that_fits_is_found_among_many(world: World, tmp_path: Path) -> None:
    world.fill(tmp_path / "cache")
    other = World(world.ldm, world.images[:1], Geometry("square", 96), DrawPolicy(seed=9))
    other.fill(tmp_path / "cache", draws=1)
    for one in (world, other):
        cached = CachedFeatures.open(
            tmp_path / "cache", ldm_digests=world.ldm.digests, geometry=one.geometry, policy=one.policy
        )
        assert cached.settings == one.settings()
        assert cached.draws == (2 if one is world else 1)


def test_the_shards_of_a_run_are_put_together_once(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job array of thousands leaves as many manifests: putting them together for each of them takes hours."""
    from ldznet_cli.features import cached as module

    world.fill(tmp_path / "cache", phrases=["lamp"], draws=1)
    [whole] = read_manifests(tmp_path / "cache")
    Path(whole.write(tmp_path / "cache")).unlink()
    for image, phrases in whole.items.items():
        replace(whole, items={image: phrases}).write(tmp_path / "cache")
    other = replace(whole, draws=2, items=dict(list(whole.items.items())[:1]))
    os.utime(other.write(tmp_path / "cache"), (1e9, 1e9))
    calls, joined = [], module.joined

    def counted(*arguments: Any) -> Any:
        calls.append(arguments)
        return joined(*arguments)

    monkeypatch.setattr(module, "joined", counted)
    assert CachedFeatures.open(tmp_path / "cache", images=world.images).manifest.items == {
        image: list(phrases) for image, phrases in whole.items.items()
    }
    assert len(calls) == 1
    stranger = ImageRef(tmp_path / "new.png", "new.png")
    stranger.path.write_bytes(b"x")
    assert (
        CachedFeatures.open(tmp_path / "cache", images=[stranger]).draws == 1
    )  # the newest, where none has it
    assert len(calls) == 3
