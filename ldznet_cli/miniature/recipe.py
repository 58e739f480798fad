"""Every number of the miniature world's recipe: what `make miniature` makes, and the seconds-long one for tests.

A recipe fixes the weights up to the processor's rounding; `ldznet_cli.miniature.card` writes all of it into the
model card. Change a number here and the weights in the package are no longer the recipe's: rebuild them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ldznet_cli.miniature.net_recipe import NetsRecipe, tiny_nets
from ldznet_cli.miniature.scenes import RENDERER_VERSION


@dataclass(frozen=True)
class DataRecipe:
    """Which scenes are rendered. Sets of different seeds never share a scene (`scenes.scene_seed`)."""

    renderer: int = RENDERER_VERSION
    training_seed: int = 1001
    """Images and captions for the autoencoder, the tokenizer and the LDM."""
    validation_seed: int = 1002
    """Watched during the training; choices are made on it."""
    held_out_seed: int = 1003
    """The bars of the model card."""
    scenes_per_style: int = 12_000
    captions_per_scene: int = 16
    chunk: int = 500
    """Scenes to a file of the work folder: what an interrupted rendering can lose."""


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
    crop: int = 128
    latent_noise: float = 0.01
    """Gaussian noise on the unscaled latent while training; less than the encoder was trained with, which is done."""
    descent: DescentRecipe = DescentRecipe(
        seed=3,
        steps=4_000,
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
        steps=4_366,
        batch=64,
        learning_rate=1e-3,
        warmup_steps=200,
        decay_steps=1_500,
        ema=0.998,
        weight_decay=0.01,
    )


@dataclass(frozen=True)
class ScheduleRecipe:
    """Stable Diffusion 1.x's noise schedule: betas linear in their square roots."""

    steps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012


@dataclass(frozen=True)
class ScoringRecipe:
    """How the bars of the model card are measured, each on held-out scenes."""

    scenes_per_style: int = 300
    timesteps: tuple[int, ...] = (400, 600, 800)
    """Of the noise-difference map: its AP is averaged over them."""
    least_psnr: float = 26.0
    """dB, mean over a style's scenes."""
    lowest_psnr: float = 20.0
    """dB, of any one scene."""
    least_margin: float = 0.1
    """AP of the right phrase's map over another phrase's of the same image."""
    sampled_prompts: int = 240
    sampling_steps: int = 50
    guidance: float = 5.0
    least_named: float = 0.7
    """Share of sampled images whose object and colour the classifier names."""
    least_miou: float = 50.0
    """%, of LD-ZNet's masks of object phrases on held-out scenes of the style it was trained on."""
    classifier_seed: int = 1004
    classifier_scenes_per_style: int = 4_000
    classifier_steps: int = 1_500


@dataclass(frozen=True)
class WatchRecipe:
    """How the LDM is watched while it trains: the noise-difference maps of its EMA on validation scenes."""

    scenes_per_style: int = 14
    timesteps: tuple[int, ...] = (400, 600, 800)
    every_seconds: float = 600.0


@dataclass(frozen=True)
class Recipe:
    """All of it."""

    name: str = "official"
    data: DataRecipe = DataRecipe()
    autoencoder: AutoencoderRecipe = AutoencoderRecipe()
    schedule: ScheduleRecipe = ScheduleRecipe()
    pretraining: PretrainingRecipe = PretrainingRecipe()
    decoder: DecoderRecipe = DecoderRecipe()
    watch: WatchRecipe = WatchRecipe()
    scoring: ScoringRecipe = ScoringRecipe()
    nets: NetsRecipe = field(default_factory=NetsRecipe)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as the model card and the scores' file hold it."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    def digest(self) -> str:
        """SHA-256 of all of its numbers."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


def official() -> Recipe:
    """The recipe of the weights in the package."""
    return Recipe()


def tiny() -> Recipe:
    """The same path in seconds, for tests: its weights know nothing."""
    descent = DescentRecipe(
        seed=1, steps=6, batch=4, learning_rate=1e-3, warmup_steps=2, decay_steps=3, shards=1,
    )  # fmt: skip
    return Recipe(
        name="tiny",
        data=DataRecipe(scenes_per_style=4, captions_per_scene=3, chunk=3),
        autoencoder=AutoencoderRecipe(
            channels=8, encoder_blocks=(0, 0, 0, 1), decoder_blocks=(1, 0, 0, 0), scenes_per_style=3, descent=descent,
        ),
        pretraining=PretrainingRecipe(
            text=TextRecipe(width=16, layers=1, heads=2),
            unet=UNetRecipe(channels=(8, 16), heads=2, norm_groups=4),
            descent=replace(descent, seed=2, steps=8),
        ),
        decoder=DecoderRecipe(
            channels=12, blocks=(2, 0, 0, 0), scenes_per_style=3, descent=replace(descent, seed=3, batch=2),
        ),
        watch=WatchRecipe(scenes_per_style=1, timesteps=(600,), every_seconds=0.0),
        scoring=ScoringRecipe(
            scenes_per_style=2, timesteps=(600,), sampled_prompts=3, sampling_steps=2, classifier_scenes_per_style=3,
            classifier_steps=3,
        ),
        nets=tiny_nets(),
    )  # fmt: skip
