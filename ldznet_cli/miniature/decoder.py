"""The autoencoder's decoder trained further by itself, wider and deeper, while the encoder stays as it is to the bit.

Latents, and with them the LDM and the nets, do not change: only what a latent looks like becomes sharper. The wide
decoder begins as the narrow one's equal: what is added has no effect before the first step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny
from diffusers.models.unets.unet_2d_blocks import AutoencoderTinyBlock
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from ldznet_cli.miniature.autoencoder import build_autoencoder, to_pixels
from ldznet_cli.miniature.data import Images, chunks, training_images
from ldznet_cli.miniature.ldm_recipe import AutoencoderRecipe, DecoderRecipe
from ldznet_cli.miniature.recipe import DataRecipe
from ldznet_cli.miniature.scenes.scene import generator
from ldznet_cli.miniature.shards import Metrics

_PREFIX = "decoder."
_FACTOR = 8
"""Pixels to one position of the latent, along each side."""
_BAR = 4 / 10**2.6
"""The mean squared error of 26 dB: the loss is the error's root in this unit, so that scenes below weigh more than
they do in a mean of PSNRs, and less than in one of squared errors."""


@torch.no_grad()
def widen(narrow: nn.Module, wide: nn.Module) -> None:
    """Give the wide decoder the narrow one's function: what it has more of leads nowhere yet.

    New channels keep their random weights on the way in and get zeros on the way to old ones; a new block's last
    convolution is zero, so that the block passes on what is never negative, as behind a block or the first ReLU.
    """
    old = list(narrow.get_submodule("layers").children())
    for layer in wide.get_submodule("layers").children():
        if isinstance(layer, AutoencoderTinyBlock) and not isinstance(old[0], AutoencoderTinyBlock):
            nn.init.zeros_(layer.conv[-1].weight)
            nn.init.zeros_(layer.conv[-1].bias)
        else:
            for new, former in zip(_convolutions(layer), _convolutions(old.pop(0)), strict=True):
                _copy(former, new)


def _convolutions(layer: nn.Module) -> Iterator[nn.Conv2d]:
    return (module for module in layer.modules() if isinstance(module, nn.Conv2d))


def _copy(old: nn.Conv2d, new: nn.Conv2d) -> None:
    outputs, inputs = old.weight.shape[:2]
    new.weight[:outputs] = 0
    new.weight[:outputs, :inputs] = old.weight
    if new.bias is not None and old.bias is not None:
        new.bias[:outputs] = old.bias


@dataclass(frozen=True)
class Decoding:
    """The decoder's objective: the mean over images of the logarithm of the squared error, which is what dB count.

    `latents` is the file that the LDM is trained on, scaled by `factor`; `first_stage` the autoencoder's weights.
    """

    recipe: DecoderRecipe
    autoencoder: AutoencoderRecipe
    data: DataRecipe
    scenes: Path
    latents: Path
    factor: float
    first_stage: Path

    def module(self) -> nn.Module:
        narrow = build_autoencoder(self.autoencoder, self.autoencoder.descent.seed)
        narrow.load_state_dict(load_file(self.first_stage))
        wide = build_autoencoder(self.autoencoder, self.recipe.descent.seed, self.recipe).decoder
        widen(narrow.decoder, wide)
        module: nn.Module = wide
        return module

    def rates(self) -> dict[str, float]:
        return {}

    @cached_property
    def _parts(self) -> list[tuple[Images, NDArray[np.float16]]]:
        """Images and their latents, chunk by chunk; those of cartoons as often as the recipe says."""
        latents = np.load(self.latents, mmap_mode="r")
        images = training_images(self.data, self.scenes, per_style=self.recipe.scenes_per_style)
        parts, start = [], 0
        for chunk, part in zip(chunks(self.data), images, strict=False):
            times = self.recipe.cartoon_share if chunk.style == "cartoon" else 1
            parts += times * [(part, latents[start : start + len(part)])]
            start += chunk.count
        return parts

    def batch(self, draw: np.random.Generator, shard: int, shards: int) -> tuple[Tensor, Tensor]:
        """This shard's share of the step's unscaled latents and pixels, corners on multiples of 8."""
        size, count = self.recipe.crop // _FACTOR, self.recipe.descent.batch
        which = draw.integers(0, 2**31, (count, 3))
        cut: list[tuple[NDArray[Any], NDArray[Any]]] = []
        for i in range(shard, count, shards):
            images, latents = self._parts[which[i, 0] % len(self._parts)]
            index = which[i, 0] // len(self._parts) % len(images)
            y, x = which[i, 1:] % (latents.shape[-1] - size + 1)
            rows, columns = slice(y, y + size), slice(x, x + size)
            pixels = images[index][_FACTOR * y :, _FACTOR * x :][: self.recipe.crop, : self.recipe.crop]
            cut.append((latents[index, :, rows, columns], pixels))
        z = torch.from_numpy(np.stack([latent for latent, _ in cut]).astype(np.float32)) / self.factor
        return z, to_pixels(np.stack([pixels for _, pixels in cut]))

    def loss(self, module: nn.Module, step: int, shard: int, shards: int) -> tuple[Tensor, Metrics]:
        draw = generator("decoder", self.recipe.descent.seed, step)
        z, pixels = self.batch(draw, shard, shards)
        noise = draw.standard_normal((shards, *z.shape), dtype=np.float32)[shard]
        noisy = z + self.recipe.latent_noise * torch.from_numpy(noise)
        with torch.autocast("cpu", torch.bfloat16):
            restored = module(noisy.contiguous(memory_format=torch.channels_last)).float()
        errors = (restored - pixels).square().mean((1, 2, 3))
        loss = (errors / _BAR + 1e-6).sqrt().mean()
        psnr = 10 * (4 / errors.detach()).log10().mean()
        return loss, {"psnr": psnr.item(), "mse": errors.mean().item()}


def assembled(
    autoencoder: AutoencoderTiny, recipe: AutoencoderRecipe, decoder: DecoderRecipe, weights: Path
) -> AutoencoderTiny:
    """The first stage of `autoencoder`'s encoder and the wide decoder's `weights`."""
    whole = build_autoencoder(recipe, recipe.descent.seed, decoder)
    encoder = {k: v for k, v in autoencoder.state_dict().items() if not k.startswith(_PREFIX)}
    whole.load_state_dict(encoder | {_PREFIX + k: v for k, v in load_file(weights).items()})
    return whole.eval()
