"""The seam: every source gives the same kind of thing; the fake depends on content alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from ldznet_cli.errors import ImageError, PromptError
from ldznet_cli.features import CachedFeatures, FeatureItem, FeatureSource, LiveFeatures, RandomFeatures
from ldznet_cli.samples.images import ImageRef
from tests.features.conftest import World


def test_the_fake_gives_what_it_was_asked_for(images: list[ImageRef]) -> None:
    source = RandomFeatures({5: (3, 4, 5), 6: (7, 2, 2)}, grid=(6, 9), text=(10, 12))
    [first, again, other] = source.features(
        images[0], [FeatureItem("lamp"), FeatureItem(" lamp "), FeatureItem("lamp", 1)]
    )
    assert first.z.shape == (4, 6, 9)
    assert first.text.shape == (10, 12)
    assert {index: tuple(block.shape) for index, block in first.blocks.items()} == {
        5: (3, 4, 5),
        6: (7, 2, 2),
    }
    assert torch.equal(first.blocks[5], again.blocks[5])
    assert torch.equal(first.z, other.z)
    assert not torch.equal(first.blocks[5], other.blocks[5])


def test_the_fake_knows_images_by_content(images: list[ImageRef], tmp_path: Path) -> None:
    copy = ImageRef(tmp_path / "copy.png", "copy.png")
    shutil.copy(images[0].path, copy.path)
    source = RandomFeatures({5: (3, 4, 5)})
    [original], [copied], [other] = (
        source.features(i, [FeatureItem("lamp")]) for i in (images[0], copy, images[1])
    )
    assert torch.equal(original.blocks[5], copied.blocks[5])
    assert not torch.equal(original.z, other.z)


def test_every_source_keeps_the_contract(world: World, tmp_path: Path) -> None:
    world.fill(tmp_path / "cache")
    sources: list[FeatureSource] = [
        RandomFeatures(policy=world.policy),
        LiveFeatures(world.ldm, world.geometry, world.policy),
        CachedFeatures.from_manifest(tmp_path / "cache"),
    ]
    items = [FeatureItem("tree", 1), FeatureItem("lamp", 0), FeatureItem("tree", 1), FeatureItem(" lamp", 0)]
    for source in sources:
        found = source.features(world.images[0], items)
        assert [(sample.prompt, sample.timestep) for sample in found] == [
            (sample.prompt, sample.timestep) for sample in sources[0].features(world.images[0], items)
        ]
        for sample in found:
            tensors = [sample.z, sample.text, *sample.blocks.values()]
            assert {(value.dtype, value.device.type) for value in tensors} == {(torch.float32, "cpu")}
            assert not any(value.requires_grad or value.is_inference() for value in tensors)
        assert source.features(world.images[0], []) == []
        with pytest.raises(PromptError):
            source.features(world.images[0], [FeatureItem(" ")])
        with pytest.raises(ImageError, match="no.png"):
            source.features(ImageRef(tmp_path / "no.png", "no.png"), items)
