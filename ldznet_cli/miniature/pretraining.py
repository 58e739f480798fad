"""The LDM's training: epsilon prediction on cached latents, text encoder and UNet together, from scratch.

Words matter where the image says little, so timesteps are drawn mostly from the noisy range and the loss is weighted
as if v were predicted; a tenth of the captions is dropped, so that "" is known too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from ldznet_cli.miniature.ldm_recipe import PretrainingRecipe, ScheduleRecipe, UNetRecipe
from ldznet_cli.miniature.scenes.scene import generator
from ldznet_cli.miniature.shards import Metrics
from ldznet_cli.miniature.text import build_text_encoder, token_ids

BANDS = 4
"""The log keeps the error of four equal bands of timesteps apart."""


def alphas_cumprod(schedule: ScheduleRecipe) -> Tensor:
    """abar of Stable Diffusion's "scaled_linear" schedule, float32 (steps,)."""
    roots = torch.linspace(
        schedule.beta_start**0.5, schedule.beta_end**0.5, schedule.steps, dtype=torch.float64
    )
    return torch.cumprod(1.0 - roots.square(), 0).float()


def build_unet(recipe: UNetRecipe, context: int, seed: int) -> UNet2DConditionModel:
    """A randomly initialised UNet2DConditionModel of the recipe's shape, the same for the same seed."""
    down = tuple("CrossAttnDownBlock2D" if attends else "DownBlock2D" for attends in recipe.attention)
    up = tuple("CrossAttnUpBlock2D" if attends else "UpBlock2D" for attends in reversed(recipe.attention))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return UNet2DConditionModel(
            sample_size=recipe.sample_size,
            down_block_types=down,
            up_block_types=up,
            block_out_channels=recipe.channels,
            layers_per_block=recipe.layers_per_block,
            cross_attention_dim=context,
            attention_head_dim=recipe.heads,
            norm_num_groups=recipe.norm_groups,
        )


class TextAndUNet(nn.Module):
    """The two networks that are trained together. Parameters are named `text.…` and `unet.…`."""

    def __init__(self, text: CLIPTextModel, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.text, self.unet = text, unet

    def forward(self, z_t: Tensor, timesteps: Tensor, ids: Tensor) -> Tensor:
        """Predicted noise: z_t (B, 4, h, w), timesteps (B,), token ids (B, L) → (B, 4, h, w)."""
        text = self.text(ids).last_hidden_state
        predicted: Tensor = self.unet(z_t, timesteps, text).sample
        return predicted.float()


def build_networks(recipe: PretrainingRecipe, tokenizer: CLIPTokenizer) -> TextAndUNet:
    """Both networks at random, ready to be trained.

    Attention is computed plainly: on a CPU the fused kernel's backward pass is several times slower at this size.
    """
    text = build_text_encoder(recipe.text, tokenizer, recipe.descent.seed)
    unet = build_unet(recipe.unet, recipe.text.width, recipe.descent.seed)
    text.set_attn_implementation("eager")
    unet.set_attn_processor(AttnProcessor())
    return TextAndUNet(text, unet)


@dataclass(frozen=True)
class TrainingData:
    """What one sample is drawn from, on disk: `latents.npy` (n, 4, h, w) and `captions.npy` (n, draws, L) token ids."""

    folder: Path

    @cached_property
    def latents(self) -> NDArray[np.float16]:
        return np.asarray(np.load(self.folder / "latents.npy", mmap_mode="r"))

    @cached_property
    def captions(self) -> NDArray[np.uint16]:
        return np.asarray(np.load(self.folder / "captions.npy", mmap_mode="r"))


@dataclass(frozen=True)
class Sample:
    """One step's share of a shard: everything that the loss needs."""

    z: Tensor
    noise: Tensor
    timesteps: Tensor
    ids: Tensor


@dataclass(frozen=True)
class Denoising:
    """The LDM's objective."""

    recipe: PretrainingRecipe
    schedule: ScheduleRecipe
    data: TrainingData
    tokenizer: Path

    def module(self) -> nn.Module:
        return build_networks(self.recipe, CLIPTokenizer.from_pretrained(self.tokenizer))

    def rates(self) -> dict[str, float]:
        return {"text.": self.recipe.text_rate}

    @cached_property
    def _abar(self) -> Tensor:
        return alphas_cumprod(self.schedule)

    @cached_property
    def _empty(self) -> NDArray[np.int64]:
        return token_ids(CLIPTokenizer.from_pretrained(self.tokenizer), [""])

    def _timesteps(self, draw: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Drawn below or above `low_timesteps` by the recipe's share, evenly within each part."""
        recipe, steps = self.recipe, self.schedule.steps
        low = draw.integers(0, recipe.low_timesteps, count)
        high = draw.integers(recipe.low_timesteps, steps, count)
        return np.where(draw.random(count) < recipe.low_share, low, high)

    def sample(self, step: int, shard: int, shards: int) -> Sample:
        """The shard's share of step's batch: a function of (seed, step), whatever was drawn before."""
        recipe, batch = self.recipe, self.recipe.descent.batch
        draw = generator("ldm", recipe.descent.seed, step)
        images = draw.integers(0, len(self.data.latents), batch)
        captions = draw.integers(0, self.data.captions.shape[1], batch)
        dropped = draw.random(batch) < recipe.caption_dropout
        timesteps = self._timesteps(draw, batch)
        noise = draw.standard_normal((batch, *self.data.latents.shape[1:]), dtype=np.float32)
        ids = np.where(dropped[:, None], self._empty, self.data.captions[images, captions])
        own = slice(shard, batch, shards)
        return Sample(
            z=torch.from_numpy(self.data.latents[images[own]].astype(np.float32)),
            noise=torch.from_numpy(noise[own]),
            timesteps=torch.from_numpy(timesteps[own]),
            ids=torch.from_numpy(ids[own].astype(np.int64)),
        )

    def loss(self, module: nn.Module, step: int, shard: int, shards: int) -> tuple[Tensor, Metrics]:
        sample = self.sample(step, shard, shards)
        abar = self._abar[sample.timesteps][:, None, None, None]
        z_t = abar.sqrt() * sample.z + (1 - abar).sqrt() * sample.noise
        with torch.autocast("cpu", torch.bfloat16):
            predicted = module(z_t, sample.timesteps, sample.ids)
        errors = (predicted - sample.noise).square().mean((1, 2, 3))
        weights = abar.flatten().reciprocal().clamp(max=self.recipe.greatest_weight)
        return (weights * errors).mean(), self._bands(errors.detach(), sample.timesteps)

    def _bands(self, errors: Tensor, timesteps: Tensor) -> Metrics:
        """Sum of errors and count for each band: their quotient is the band's mean, also over many steps."""
        band = timesteps * BANDS // self.schedule.steps
        sums, counts = torch.zeros(BANDS), torch.zeros(BANDS)
        sums.index_add_(0, band, errors)
        counts.index_add_(0, band, torch.ones_like(errors))
        return {f"sum{i}": float(sums[i]) for i in range(BANDS)} | {
            f"count{i}": float(counts[i]) for i in range(BANDS)
        }
