"""The authors' frozen networks, by the numbers: tolerances as in the oracle's README."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from ldznet_cli.ldm import FrozenLDM

EPS, FEATURES, MOMENTS = 1e-4, 5e-4, 5e-4


@pytest.fixture(scope="module")
def ldm(official_ldm: Path) -> FrozenLDM:
    return FrozenLDM.load(official_ldm, blocks=None)


@pytest.fixture(scope="module")
def unet_oracle(parity: Path) -> dict[str, Tensor]:
    return dict(load_file(parity / "oracle_48x48.safetensors"))


@pytest.fixture(scope="module")
def oracle(parity: Path) -> dict[str, Tensor]:
    return dict(load_file(parity / "oracle_pipeline.safetensors"))


@pytest.fixture(scope="module")
def inputs(recipe: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """z, text, timestep and noise of the oracle's 48x48 case."""
    z, noise = recipe.inp("z/48x48", (2, 4, 48, 48)), recipe.inp("noise/48x48", (2, 4, 48, 48))
    return z, recipe.inp("ctx/48x48", (2, 77, 64)), torch.tensor([400, 317]), noise


def picture(recipe: Any, size: str) -> Tensor:
    """The oracle's image of that size, (1, 3, H, W) in [-1, 1]."""
    height, width = map(int, size.split("x"))
    pixels: Tensor = recipe.inp_image(f"img/{size}", height, width)
    return pixels.permute(2, 0, 1)[None].float() / 127.5 - 1


def close(found: Tensor, expected: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=0)


def test_predicted_noise(
    ldm: FrozenLDM, unet_oracle: dict[str, Tensor], inputs: tuple[Tensor, Tensor, Tensor, Tensor]
) -> None:
    z, text, timestep, noise = inputs
    z_t = ldm.schedule.add_noise(z, noise, timestep)
    close(z_t, unet_oracle["48x48/sd/x_noisy"], 1e-6)
    close(ldm.predict_noise(z_t, text, timestep), unet_oracle["48x48/sd/eps"], EPS)


def test_features_of_all_blocks(
    ldm: FrozenLDM, unet_oracle: dict[str, Tensor], inputs: tuple[Tensor, Tensor, Tensor, Tensor]
) -> None:
    features = ldm.features(*inputs)
    assert list(features) == list(range(16))
    for index, feature in features.items():
        if (whole := f"48x48/sd/feat.{index}") in unet_oracle:
            close(feature, unet_oracle[whole], FEATURES)
        else:
            close(feature[:, ::4, ::3, ::3], unet_oracle[f"{whole}.slice"], FEATURES)


def test_the_papers_blocks_are_5_to_9_and_the_same_when_the_rest_is_cut_away(
    ldm: FrozenLDM, official_ldm: Path, inputs: tuple[Tensor, Tensor, Tensor, Tensor]
) -> None:
    cut = FrozenLDM.load(official_ldm)
    whole, features = ldm.features(*inputs), cut.features(*inputs)
    assert cut.blocks == (5, 6, 7, 8, 9)
    assert all(torch.equal(feature, whole[index]) for index, feature in features.items())


@pytest.mark.parametrize("size", ["384x384", "320x448"])
def test_first_stage(ldm: FrozenLDM, recipe: Any, oracle: dict[str, Tensor], size: str) -> None:
    pixels = picture(recipe, size)
    moments = ldm.first_stage.autoencoder.encode(pixels).latent_dist.parameters
    close(moments, oracle[f"vae/{size}/moments"], MOMENTS)
    mode = ldm.encode_image(pixels)
    close(mode, oracle[f"vae/{size}/z_mode_scaled"], 0.2 * MOMENTS)
    sample = ldm.encode_image(pixels, recipe.inp(f"vae_eps/{size}", tuple(mode.shape)))
    close(sample, oracle[f"vae/{size}/z_sample_scaled"], 0.2 * MOMENTS)


@pytest.mark.parametrize("size", ["384x384", "256x576"])
def test_from_image_to_features(ldm: FrozenLDM, recipe: Any, oracle: dict[str, Tensor], size: str) -> None:
    case = {key.rsplit("/", 1)[1]: value for key, value in oracle.items() if key.startswith(f"e2e/{size}/")}
    z = ldm.encode_image(picture(recipe, size), case["posterior_eps"])
    close(z, case["z"], 0.2 * MOMENTS)
    close(ldm.schedule.add_noise(z, case["q_noise"], case["t_sd"]), case["x_noisy"], 0.2 * MOMENTS)
    features = ldm.features(z, recipe.inp(f"ctx/e2e/{size}", (1, 77, 64)), case["t_sd"], case["q_noise"])
    for index in range(5, 10):
        close(features[index], case[f"feat.{index}"], FEATURES)


def test_schedule(ldm: FrozenLDM, oracle: dict[str, Tensor]) -> None:
    close(ldm.schedule.alphas_cumprod, oracle["schedule/alphas_cumprod_f64"], 1e-15)
