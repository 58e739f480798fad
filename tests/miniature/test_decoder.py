"""The decoder's own training: it begins as the narrow decoder's equal, and the encoder never moves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import save_file

from ldznet_cli.miniature.autoencoder import build_autoencoder, to_pixels
from ldznet_cli.miniature.data import render_training_set, training_images
from ldznet_cli.miniature.decoder import Decoding, assembled, widen
from ldznet_cli.miniature.descent import Descent
from ldznet_cli.miniature.latents import save_latents
from ldznet_cli.miniature.ldm_recipe import DecoderRecipe
from ldznet_cli.miniature.recipe import Recipe, official, tiny
from ldznet_cli.miniature.scenes.scene import STYLES, generator

RECIPE = tiny()


def narrow(recipe: Recipe = RECIPE) -> AutoencoderTiny:
    return build_autoencoder(recipe.autoencoder, 5).eval()


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes, their latents by a random autoencoder, and its weights."""
    folder = tmp_path_factory.mktemp("decoder")
    list(render_training_set(RECIPE.data, folder / "scenes"))
    save_file(narrow().state_dict(), folder / "autoencoder.safetensors")
    save_latents(folder, narrow(), training_images(RECIPE.data, folder / "scenes"))
    return folder


def objective(work: Path, recipe: DecoderRecipe = RECIPE.decoder, factor: float = 1.0) -> Decoding:
    return Decoding(
        recipe=recipe,
        autoencoder=RECIPE.autoencoder,
        data=RECIPE.data,
        scenes=work / "scenes",
        latents=work / "latents.npy",
        factor=factor,
        first_stage=work / "autoencoder.safetensors",
    )


@torch.no_grad()
@pytest.mark.parametrize("recipe", [tiny(), official()], ids=["tiny", "official"])
def test_a_wide_decoder_begins_as_the_narrow_one(recipe: Recipe) -> None:
    first, wide = narrow(recipe).decoder, build_autoencoder(recipe.autoencoder, 6, recipe.decoder).decoder
    z = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    assert (wide(z) - first(z)).abs().max() > 0.01
    widen(first, wide)
    torch.testing.assert_close(wide(z), first(z), atol=1e-5, rtol=1e-4)
    counts = [sum(weight.numel() for weight in module.parameters()) for module in (first, wide)]
    assert counts[1] > 1.5 * counts[0]


def test_every_weight_of_a_widened_decoder_can_learn(work: Path) -> None:
    """After one step along the gradient nothing that was added is without a gradient any more."""
    decoding = objective(work)
    module = decoding.module()
    for step in range(2):
        module.zero_grad()
        loss, _ = decoding.loss(module, step, 0, 1)
        loss.backward()
        with torch.no_grad():
            for parameter in module.parameters():
                assert parameter.grad is not None
                parameter -= 0.01 * parameter.grad
    assert all(float(parameter.grad.abs().max()) > 0 for parameter in module.parameters())


def test_pixels_and_latents_of_a_crop_belong_together(work: Path) -> None:
    factor = 2.0
    decoding = objective(work, replace(RECIPE.decoder, crop=64), factor)
    z, pixels = decoding.batch(generator("test", 1), 0, 1)
    assert (z.shape, pixels.shape) == ((2, 4, 8, 8), (2, 3, 64, 64))
    scenes = np.concatenate(training_images(RECIPE.data, work / "scenes"))
    latents = np.load(work / "latents.npy").astype(np.float32) / factor
    for latent, crop in zip(z.numpy(), pixels, strict=True):
        places = [
            (index, y, x)
            for index in range(len(latents))
            for y in range(9)
            for x in range(9)
            if np.array_equal(latents[index, :, y : y + 8, x : x + 8], latent)
        ]
        [(index, y, x)] = places
        own = scenes[None, index, 8 * y : 8 * y + 64, 8 * x : 8 * x + 64]
        assert torch.equal(to_pixels(own)[0], crop)


@pytest.mark.parametrize(("share", "expected"), [(1, 1 / 3), (2, 1 / 2)])
def test_cartoons_are_drawn_as_often_as_the_recipe_says(work: Path, share: int, expected: float) -> None:
    decoding = objective(work, replace(RECIPE.decoder, cartoon_share=share))
    scenes = training_images(RECIPE.data, work / "scenes", per_style=RECIPE.decoder.scenes_per_style)
    cartoons = to_pixels(scenes[STYLES.index("cartoon")])
    drawn = torch.cat([decoding.batch(generator("drawn", i), 0, 1)[1] for i in range(150)])
    found = [any(torch.equal(pixels, cartoon) for cartoon in cartoons) for pixels in drawn]
    assert np.mean(found) == pytest.approx(expected, abs=0.08)


def test_the_training_makes_the_images_sharper_and_the_encoder_stays_to_the_bit(
    work: Path, tmp_path: Path
) -> None:
    recipe = replace(
        RECIPE.decoder, descent=replace(RECIPE.decoder.descent, steps=40, decay_steps=20, batch=4)
    )
    first, factor = narrow(), float(1 / np.std(np.load(work / "latents.npy").astype(np.float64)))
    descent = Descent(objective(work, recipe, factor), recipe.descent, tmp_path)
    records = list(descent.run())
    ends = [np.mean([record.metrics["psnr"] for record in part]) for part in (records[:5], records[-5:])]
    assert ends[1] > ends[0] + 0.5
    whole = assembled(first, RECIPE.autoencoder, recipe, tmp_path / "checkpoint" / "ema.safetensors")
    encoder = {name: tensor for name, tensor in first.state_dict().items() if name.startswith("encoder.")}
    assert all(torch.equal(whole.state_dict()[name], tensor) for name, tensor in encoder.items())
    pixels = to_pixels(training_images(RECIPE.data, work / "scenes")[0])
    with torch.no_grad():
        assert torch.equal(whole.encode(pixels).latents, first.encode(pixels).latents)


def test_the_official_decoder_adds_to_the_autoencoders_and_stays_small() -> None:
    recipe = official()
    old, new = recipe.autoencoder.decoder_blocks, recipe.decoder.blocks
    assert all(
        b == a or (b > a and (a > 0 or level == 0)) for level, (a, b) in enumerate(zip(old, new, strict=True))
    )
    model = build_autoencoder(recipe.autoencoder, 0, recipe.decoder)
    assert 2 * sum(parameter.numel() for parameter in model.parameters()) < 4 * 2**20
