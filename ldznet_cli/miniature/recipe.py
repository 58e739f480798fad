"""Every number of the miniature world's recipe: what `make miniature` makes, and the seconds-long one for tests.

A recipe fixes the weights up to the processor's rounding; `ldznet_cli.miniature.card` writes all of it into the
model card. Change a number here and the weights in the package are no longer the recipe's: rebuild them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ldznet_cli.miniature.ldm_recipe import (
    AutoencoderRecipe,
    DecoderRecipe,
    DescentRecipe,
    PretrainingRecipe,
    ScheduleRecipe,
    TextRecipe,
    UNetRecipe,
)
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
class JudgeRecipe:
    """The classifier that names what a sample shows, trained on rendered scenes and their masks."""

    seed: int = 1004
    """Of its scenes, its weights and its batches."""
    scenes_per_style: int = 4_000
    widths: tuple[int, ...] = (24, 48, 96, 160)
    steps: int = 1_000
    batch: int = 32
    learning_rate: float = 4e-3
    """The greatest of a one-cycle schedule."""
    weight_decay: float = 0.05
    single_share: float = 0.6
    """Of a batch, drawn from scenes of one object alone; the rest from all."""
    smoothing: float = 0.05
    greatest_noise: float = 0.12
    """Standard deviation of Gaussian noise on images in [-1, 1]: for each image, evenly from 0 to this."""


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
    sampling_seed: int = 1004
    """Of the prompts and of the noise that each sample begins with."""
    sampling_steps: int = 50
    guidance: float = 5.0
    least_named: float = 0.7
    """Share of sampled images whose object and colour the judge names."""
    least_miou: float = 50.0
    """%, of LD-ZNet's masks of object phrases on held-out scenes of the style it was trained on."""
    least_auroc: float = 0.9
    """Of LD-ZNet's presence scores, present against absent phrases of the same scenes."""
    judge: JudgeRecipe = JudgeRecipe()


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
    autoencoder: AutoencoderRecipe = field(default_factory=AutoencoderRecipe)
    schedule: ScheduleRecipe = field(default_factory=ScheduleRecipe)
    pretraining: PretrainingRecipe = field(default_factory=PretrainingRecipe)
    decoder: DecoderRecipe = field(default_factory=DecoderRecipe)
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
            scenes_per_style=2, timesteps=(600,), sampled_prompts=3, sampling_steps=2,
            judge=JudgeRecipe(scenes_per_style=3, widths=(4, 4, 8, 8), steps=3, batch=4),
        ),
        nets=tiny_nets(),
    )  # fmt: skip
