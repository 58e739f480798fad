"""From a probability map to what is said about the image: mask and presence score."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from ldznet_cli.samples.geometry import to_image_size

TOP_SHARE = 0.01
"""The presence score is the mean of this share of the probabilities, the highest ones."""

_LEVELS = 65535


@dataclass(frozen=True, eq=False)
class Decision:
    """`prob` as it is stored, (h, w) on the grid; `mask` bool (height, width) of the image; `score` in [0, 1]."""

    prob: NDArray[np.float32]
    mask: NDArray[np.bool_]
    score: float


def decide(prob: NDArray[np.float32], width: int, height: int, threshold: float) -> Decision:
    """The mask is where the probability, brought to the image's size, is greater than `threshold`.

    Probabilities are first rounded to what a 16-bit PNG holds: who reads them back comes to the same mask.
    """
    stored = (np.rint(prob.astype(np.float64).clip(0, 1) * _LEVELS) / _LEVELS).astype(np.float32)
    mask = to_image_size(stored, width, height) > threshold
    return Decision(stored, mask, presence(stored))


def presence(prob: NDArray[np.float32]) -> float:
    """Whether the phrase is anywhere: the mean of the top 1 % of the probabilities, at least of one."""
    count = ceil(TOP_SHARE * prob.size)
    top = np.partition(prob.ravel(), prob.size - count)[prob.size - count :]
    return round(float(top.astype(np.float64).mean()), 6)
