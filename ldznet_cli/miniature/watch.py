"""Watching the LDM learn its words: noise-difference maps of the EMA on a few validation scenes, now and then."""

from __future__ import annotations

import time
from typing import Any

import torch
from diffusers import AutoencoderTiny
from torch import nn
from transformers import CLIPTokenizer

from ldznet_cli.miniature.autoencoder import to_pixels
from ldznet_cli.miniature.descent import Descent
from ldznet_cli.miniature.grounding import ground
from ldznet_cli.miniature.pipeline import PairDenoiser
from ldznet_cli.miniature.pretraining import Denoising, TextAndUNet
from ldznet_cli.miniature.recipe import Recipe
from ldznet_cli.miniature.scenes import STYLES, render, scene_seed
from ldznet_cli.miniature.scoring import summary
from ldznet_cli.miniature.shards import flatten


class Watch:
    """Holds the validation scenes, and networks whose parameters are the EMA itself."""

    def __init__(
        self,
        recipe: Recipe,
        descent: Descent,
        objective: Denoising,
        first_stage: AutoencoderTiny,
        factor: float,
    ) -> None:
        self.recipe = recipe.watch
        networks: nn.Module = objective.module().eval()
        flatten(networks, descent.ema)
        assert isinstance(networks, TextAndUNet)
        tokenizer = CLIPTokenizer.from_pretrained(objective.tokenizer)
        self.denoiser = PairDenoiser.of(networks, tokenizer, recipe.schedule)
        seeds = [scene_seed(recipe.data.validation_seed, i) for i in range(self.recipe.scenes_per_style)]
        self.scenes = [render(style, seed) for seed in seeds for style in STYLES]
        with torch.no_grad():
            self.latents = [
                factor * first_stage.encode(to_pixels(s.image[None])).latents for s in self.scenes
            ]
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether it is time to look again."""
        return time.monotonic() - self._last > self.recipe.every_seconds

    def look(self) -> dict[str, dict[str, Any]]:
        """Mean AP of the maps at each timestep."""
        rows = [
            row
            for scene, z in zip(self.scenes, self.latents, strict=True)
            for row in ground(self.denoiser, scene, z, self.recipe.timesteps)
        ]
        self._last = time.monotonic()
        steps = self.recipe.timesteps
        return {f"t={step}": summary([row for row in rows if row["timestep"] == step]) for step in steps}
