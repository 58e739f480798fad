"""The miniature's first stage: a narrow AutoencoderTiny, trained on crops of rendered scenes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor, nn

from ldznet_cli.miniature.data import Images, training_images
from ldznet_cli.miniature.ldm_recipe import AutoencoderRecipe, DecoderRecipe
from ldznet_cli.miniature.recipe import DataRecipe
from ldznet_cli.miniature.scenes.scene import generator
from ldznet_cli.miniature.shards import Metrics


def build_autoencoder(
    recipe: AutoencoderRecipe, seed: int, decoder: DecoderRecipe | None = None
) -> AutoencoderTiny:
    """A randomly initialised AutoencoderTiny of the recipe's shape, the same for the same seed.

    With `decoder` the second half has that recipe's shape.
    """
    blocks = decoder.blocks if decoder else recipe.decoder_blocks
    channels = decoder.channels if decoder else recipe.channels
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AutoencoderTiny(
            encoder_block_out_channels=(recipe.channels,) * len(recipe.encoder_blocks),
            decoder_block_out_channels=(channels,) * len(blocks),
            num_encoder_blocks=recipe.encoder_blocks,
            num_decoder_blocks=blocks,
        )


def to_pixels(images: Images) -> Tensor:
    """uint8 (n, H, W, 3) → float32 (n, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float().div(127.5).sub(1.0)


@dataclass(frozen=True)
class Reconstruction:
    """The autoencoder's objective: mean squared error on crops, noise on the latent, moments held near 0 and 1."""

    recipe: AutoencoderRecipe
    data: DataRecipe
    scenes: Path

    def module(self) -> nn.Module:
        module: nn.Module = build_autoencoder(self.recipe, self.recipe.descent.seed)
        return module

    def rates(self) -> dict[str, float]:
        return {}

    @cached_property
    def _images(self) -> list[Images]:
        return training_images(self.data, self.scenes, per_style=self.recipe.scenes_per_style)

    def _crops(self, draw: np.random.Generator, shard: int, shards: int) -> Tensor:
        """This shard's share of the step's crops; corners on multiples of 8, mirrored half of the time."""
        size, batch = self.recipe.crop, self.recipe.descent.batch
        which = draw.integers(0, 2**31, (batch, 3))
        mirrored = draw.random(batch) < 0.5
        crops = []
        for i in range(shard, batch, shards):
            images = self._images[which[i, 0] % len(self._images)]
            image = images[which[i, 0] // len(self._images) % len(images)]
            y, x = 8 * (which[i, 1:] % ((image.shape[0] - size) // 8 + 1))
            crop = image[y : y + size, x : x + size]
            crops.append(crop[:, ::-1] if mirrored[i] else crop)
        return to_pixels(np.stack(crops))

    def loss(self, module: nn.Module, step: int, shard: int, shards: int) -> tuple[Tensor, Metrics]:
        assert isinstance(module, AutoencoderTiny)
        draw = generator("autoencoder", self.recipe.descent.seed, step)
        pixels = self._crops(draw, shard, shards).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            z = module.encode(pixels).latents.float()
            noise = draw.standard_normal((shards, *z.shape), dtype=np.float32)[shard]
            restored = module.decode(z + self.recipe.latent_noise * torch.from_numpy(noise)).sample.float()
        error = (restored - pixels).square().mean()
        mean, deviation = z.mean((0, 2, 3)), z.std((0, 2, 3))
        moments = mean.square().mean() + (deviation - 1).square().mean()
        loss = error + self.recipe.moments_weight * moments
        return loss, {"mse": error.item(), "moments": moments.item()}
