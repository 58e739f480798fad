"""The recipe of the latent diffusion model: what its networks look like and how each of them is trained."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DescentRecipe:
    """One training by AdamW: linear warm-up, a constant rate, and at the end a linear decay to zero.

    The constant part makes an early end possible: a training told to "decay now" does its last `decay_steps` at once.
    """

    seed: int
    steps: int
    batch: int
    learning_rate: float
    warmup_steps: int
    decay_steps: int
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    clip: float = 1.0
    """Greatest norm of the gradient."""
    ema: float = 0.999
    """Decay of the weights' moving average (smaller over the first steps)."""
    shards: int = 2
    """Every batch is summed in this many parts, each by a process of its own on one thread: two cores without waits."""
    checkpoint_seconds: float = 240.0


@dataclass(frozen=True)
class AutoencoderRecipe:
    """AutoencoderTiny: 8x down, 4 channels; most blocks where pixels are few."""

    channels: int = 32
    encoder_blocks: tuple[int, ...] = (0, 1, 2, 3)
    decoder_blocks: tuple[int, ...] = (3, 2, 1, 0)
    scenes_per_style: int = 3_000
    crop: int = 64
    latent_noise: float = 0.05
    """Gaussian noise on the latent while training: close latents must mean like images."""
    moments_weight: float = 0.01
    """Of the penalty that holds each channel near zero mean and unit deviation."""
    descent: DescentRecipe = DescentRecipe(
        seed=1, steps=5_000, batch=16, learning_rate=2e-3, warmup_steps=100, decay_steps=2_500, ema=0.99
    )


@dataclass(frozen=True)
class DecoderRecipe:
    """The autoencoder's decoder, trained further alone: wider and deeper, on the latents that the LDM knows.

    The encoder stays as it is, so that LDM and nets stay right; what is added begins without effect.
    """

    channels: int = 64
    blocks: tuple[int, ...] = (4, 4, 1, 0)
    """At least the autoencoder's of each level, and more only where it has some (or on the first level)."""
    scenes_per_style: int = 6_000
    cartoon_share: int = 2
    """How often a cartoon is drawn for each photo or sketch: thin outlines between flat colours are the hardest."""
    crop: int = 128
    latent_noise: float = 0.01
    """Gaussian noise on the unscaled latent while training; less than the encoder was trained with, which is done."""
    descent: DescentRecipe = DescentRecipe(
        seed=3,
        steps=5_931,
        batch=4,
        learning_rate=1e-3,
        warmup_steps=100,
        decay_steps=2_500,
        clip=10.0,
        ema=0.99,
        shards=1,
    )


@dataclass(frozen=True)
class TextRecipe:
    """CLIPTextModel, trained together with the UNet."""

    width: int = 128
    layers: int = 2
    heads: int = 4
    length: int = 32
    """Tokens a prompt may have, the two special ones included: 99.8 % of the captions fit (a longer one is cut), and
    every token costs attention in the text encoder and in each of the UNet's blocks."""


@dataclass(frozen=True)
class UNetRecipe:
    """Stable Diffusion's arrangement on two levels: 16x16 without attention (dear on a CPU), 8x8 with."""

    sample_size: int = 16
    channels: tuple[int, ...] = (48, 96)
    attention: tuple[bool, ...] = (False, True)
    layers_per_block: int = 2
    heads: int = 3
    norm_groups: int = 16


@dataclass(frozen=True)
class PretrainingRecipe:
    """The LDM's training on latents and captions; it never sees a mask."""

    text: TextRecipe = TextRecipe()
    unet: UNetRecipe = UNetRecipe()
    caption_dropout: float = 0.1
    low_share: float = 0.25
    """Share of the samples with a timestep below `low_timesteps`; the others are drawn evenly from those above,
    where the image alone tells little and words matter."""
    low_timesteps: int = 300
    greatest_weight: float = 20.0
    """The loss on epsilon is weighted by 1/abar, up to this: as if v were predicted, so that no timestep dominates."""
    text_rate: float = 1.0
    """Factor on the learning rate of the text encoder."""
    descent: DescentRecipe = DescentRecipe(
        seed=2,
        steps=11_233,
        batch=64,
        learning_rate=1e-3,
        warmup_steps=200,
        decay_steps=2_000,
        ema=0.998,
        weight_decay=0.01,
    )


@dataclass(frozen=True)
class ScheduleRecipe:
    """Stable Diffusion 1.x's noise schedule: betas linear in their square roots."""

    steps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012
