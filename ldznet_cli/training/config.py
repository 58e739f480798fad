"""Every number of a training run, and the named presets."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ldznet_cli.errors import UsageError

Schedule = Literal["constant", "cosine", "plateau"]
Precision = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class TrainConfig:
    """A training run but for its data and its net.

    `batch` counts samples of one optimiser step over all processes. `negatives` is the share of samples whose
    phrase names something absent (their mask is empty). `validation_share` of the images are held out for
    validation when no validation file is given. Learning rates are per step, not per sample. `passes` is in how
    many parts a process's share of the batch goes through the net (gradient accumulation); with `recompute` the
    activations of the blocks are not kept but computed again on the way back: both save memory and change nothing
    but rounding. `clip` is the greatest norm of the gradient, None or 0 lets it be.
    """

    steps: int = 1000
    batch: int = 16
    learning_rate: float = 2e-4
    warmup: int = 100
    schedule: Schedule = "cosine"
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.01
    clip: float | None = 1.0
    ema: float = 0.999
    negatives: float = 0.0
    validation_share: float = 0.1
    validate_every: int = 250
    validation_samples: int = 500
    checkpoint_every: int = 250
    keep: int = 2
    precision: Precision = "float32"
    passes: int = 1
    recompute: bool = False
    workers: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in (
            "steps", "batch", "validate_every", "checkpoint_every", "keep", "validation_samples", "passes",
        ):  # fmt: skip
            if getattr(self, name) < 1:
                raise UsageError(
                    f"--{name.replace('_', '-')} must be at least 1, found {getattr(self, name)}"
                )
        for name in ("negatives", "validation_share", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(
                    f"--{name.replace('_', '-')} is a share in [0, 1), found {getattr(self, name)}"
                )
        if not 0 < self.learning_rate < math.inf:
            raise UsageError(f"--learning-rate is a positive number, found {self.learning_rate}")
        if not 0 <= self.weight_decay < math.inf:
            raise UsageError(f"--weight-decay is a number, 0 or more, found {self.weight_decay}")

    def to_dict(self) -> dict[str, Any]:
        """The configuration as JSON values."""
        return {**dataclasses.asdict(self), "betas": list(self.betas)}

    @property
    def what_decides_the_weights(self) -> dict[str, Any]:
        """The fields that change the weights after a given step; the others may differ when a run is resumed."""
        return {key: value for key, value in self.to_dict().items() if key not in _HARMLESS}


_HARMLESS = ("checkpoint_every", "keep", "passes", "recompute", "workers")

PRESETS: Mapping[str, TrainConfig] = {
    # 8 devices x batch 4; base learning rate 5e-7 per sample and device; AdamW as PyTorch has it; no clipping,
    # no negatives, reduce on plateau; step 146,000 is where the published weights stand.
    "paper": TrainConfig(
        steps=146_000,
        batch=32,
        learning_rate=1.6e-5,
        warmup=0,
        schedule="plateau",
        clip=None,
        ema=0.9999,
        validate_every=5_000,
        checkpoint_every=1_000,
    ),
    # Ours, for nets of the miniature's size on a CPU.
    "miniature": TrainConfig(
        steps=4_000,
        batch=16,
        learning_rate=5e-4,
        warmup=200,
        schedule="cosine",
        ema=0.998,
        negatives=0.2,
        validate_every=500,
        checkpoint_every=250,
    ),
}


def preset(name: str, **changes: Any) -> TrainConfig:
    """The preset `name` with every change that is not None.

    Raises UsageError when there is no such preset.
    """
    if name not in PRESETS:
        raise UsageError(f"there is no preset {name!r}; choose one of {', '.join(PRESETS)}")
    return dataclasses.replace(PRESETS[name], **{k: v for k, v in changes.items() if v is not None})
