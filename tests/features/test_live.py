"""Live features are the LDM's own, whatever else is asked for with them."""

from __future__ import annotations

import torch

from ldznet_cli.features import FeatureItem, LiveFeatures
from ldznet_cli.samples.images import read_image, sha256_of, to_tensor
from tests.features.conftest import World


def test_live_features_are_what_the_ldm_gives(world: World) -> None:
    image, item = world.images[1], FeatureItem("red cup", 2)
    [found] = LiveFeatures(world.ldm, world.geometry, world.policy).features(image, [item])
    draw = world.policy.draw(sha256_of(image.path), "red cup", 2)
    z = world.ldm.encode_image(to_tensor(read_image(image.path), world.geometry))
    prompt = draw.template.replace("{}", "red cup")
    text = world.ldm.encode_text([prompt])
    expected = world.ldm.features(z, text, draw.timestep, draw.noise((4, *z.shape[2:]))[None])
    assert (found.prompt, found.timestep) == (prompt, draw.timestep)
    assert torch.equal(found.z, z[0])
    assert torch.equal(found.text, text[0])
    assert found.blocks.keys() == expected.keys()
    for index, block in found.blocks.items():
        torch.testing.assert_close(block, expected[index][0], rtol=1e-5, atol=1e-5)


def test_company_changes_nothing_but_the_last_digits(world: World) -> None:
    source = LiveFeatures(world.ldm, world.geometry, world.policy, batch=3)
    items = [FeatureItem(phrase, draw) for phrase in ("tree", "lamp", "cup") for draw in (0, 1)]
    together = source.features(world.images[0], items)
    for item, sample in zip(items, together, strict=True):
        [alone] = source.features(world.images[0], [item])
        assert torch.equal(alone.z, sample.z)
        assert torch.equal(alone.text, sample.text)
        for index in sample.blocks:
            torch.testing.assert_close(alone.blocks[index], sample.blocks[index], rtol=1e-5, atol=1e-5)


def test_the_order_of_the_items_does_not_change_a_bit(world: World) -> None:
    source = LiveFeatures(world.ldm, world.geometry, world.policy, batch=3)
    items = [FeatureItem(phrase, draw) for phrase in ("tree", "lamp", "cup") for draw in (0, 1)]
    forward = source.features(world.images[0], items)
    backward = source.features(world.images[0], items[::-1])[::-1]
    for one, other in zip(forward, backward, strict=True):
        assert all(torch.equal(one.blocks[index], other.blocks[index]) for index in one.blocks)


def test_z_only_runs_no_unet(world: World) -> None:
    source = LiveFeatures(world.ldm, world.geometry, world.policy, z_only=True)
    [sample] = source.features(world.images[0], [FeatureItem("lamp")])
    assert sample.blocks == {}
    assert sample.z.shape == (4, 8, 8)
