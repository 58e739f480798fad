"""From a probability map to what is said about the image: mask and presence score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ldznet_cli.metrics.presence import presence
from ldznet_cli.samples.geometry import to_image_size

_LEVELS = 65535


@dataclass(frozen=True, eq=False)
class Decision:
    """`prob` as it is stored, (h, w) on the grid; `pixels` the same at the image's size, (height, width); `mask` bool
    (height, width); `score` in [0, 1]."""

    prob: NDArray[np.float32]
    pixels: NDArray[np.float32]
    mask: NDArray[np.bool_]
    score: float


def decide(prob: NDArray[np.float32], width: int, height: int, threshold: float) -> Decision:
    """The mask is where the probability, brought to the image's size, is greater than `threshold`.

    Probabilities are first rounded to what a 16-bit PNG holds: who reads them back comes to the same mask.
    """
    stored = (np.rint(prob.astype(np.float64).clip(0, 1) * _LEVELS) / _LEVELS).astype(np.float32)
    pixels = to_image_size(stored, width, height)
    return Decision(stored, pixels, pixels > threshold, presence(stored))


def absent(decision: Decision) -> Decision:
    """The answer that it is not there: no mask, no probability; the score stays what it was."""
    return Decision(
        np.zeros_like(decision.prob),
        np.zeros_like(decision.pixels),
        np.zeros_like(decision.mask),
        decision.score,
    )
