"""The learning rate at a step, as a pure function: a resumed run needs no scheduler state."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ldznet_cli.training.config import TrainConfig

PLATEAU_PATIENCE = 5
"""Validations without a better one before the rate falls."""
PLATEAU_FACTOR = 0.5
LONGEST_WARMUP = 0.1
"""Of a run's steps: a short one would else be over before it has its learning rate."""
FLOOR = 0.01
"""The share of the learning rate that a cosine schedule ends on."""


def learning_rate(config: TrainConfig, step: int, history: Sequence[float] = ()) -> float:
    """The learning rate of `step` (counted from 0); `history` holds the validation mIoU so far (for `plateau`)."""
    rate, warmup = config.learning_rate, min(config.warmup, round(LONGEST_WARMUP * config.steps))
    if step < warmup:
        return rate * (step + 1) / (warmup + 1)
    if config.schedule == "cosine":
        share = (step - warmup) / max(1, config.steps - warmup)
        return rate * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))
    if config.schedule == "plateau":
        return rate * PLATEAU_FACTOR ** plateaus(history)
    return rate


def plateaus(history: Sequence[float]) -> int:
    """How often PLATEAU_PATIENCE validations in a row brought nothing better."""
    best, waited, count = -math.inf, 0, 0
    for value in history:
        best, waited = (value, 0) if value > best else (best, waited + 1)
        if waited == PLATEAU_PATIENCE:
            waited, count = 0, count + 1
    return count
