"""What the tiny model gives, to the last digits but one: z, text, features and noise, recorded once."""

from __future__ import annotations

from pathlib import Path

import torch

from ldznet_cli.ldm import DrawPolicy, FrozenLDM
from tests.recorded import compare
from tests.tiny import drawn
from tests.tiny import tiny_ldm as build

PROMPTS = ["a photo of a red lamp.", "Café, 漢 + 2 cups!"]

PIXELS = 10 * drawn("pixels", (2, 3, 48, 72)).float()


def test_z_text_features_and_noise(tiny_ldm: Path) -> None:
    ldm = FrozenLDM.load(tiny_ldm, blocks=None)
    z, text = ldm.encode_image(PIXELS), ldm.encode_text(PROMPTS)
    draws = [DrawPolicy(1).draw("0" * 64, prompt, 0) for prompt in PROMPTS]
    noise, t = (
        torch.stack([draw.noise((4, 6, 9)) for draw in draws]),
        torch.tensor([d.timestep for d in draws]),
    )
    found = {f"features.{index}": value for index, value in ldm.features(z, text, t, noise).items()}
    eps = ldm.predict_noise(ldm.schedule.add_noise(z, noise, t), text, t)
    compare("ldm", {"z": z, "text": text, "noise": noise, "eps": eps, **found}, 2e-4)


def test_in_the_shape_of_stable_diffusion_2(tmp_path: Path) -> None:
    """Linear projections, heads by level, an AutoencoderTiny, velocity prediction, weights stored in float16."""
    unet = {"use_linear_projection": True, "attention_head_dim": (1, 2, 4)}
    scheduler = {"prediction_type": "v_prediction"}
    folder = build(tmp_path, unet=unet, scheduler=scheduler, first_stage="tiny", dtype=torch.float16)
    ldm = FrozenLDM.load(folder, blocks=None)
    z, text = ldm.encode_image(PIXELS), ldm.encode_text(PROMPTS)
    compare("ldm2", {"z": z, "eps": ldm.predict_noise(z, text, 400)}, 2e-4)
