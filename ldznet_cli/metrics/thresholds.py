"""Which thresholds a probability exceeds: all of them at once, and exactly as `p > t` would say for each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Probs = NDArray[np.floating[Any]]
Levels = NDArray[np.uint8]

THRESHOLDS: tuple[float, ...] = tuple(k / 50 for k in range(1, 50))
"""0.02, 0.04, ..., 0.98 (timojl/clipseg: metrics.py, 51 values from 0 to 1 without the two ends)."""


def levels_of(prob: Probs) -> Levels:
    """How many of THRESHOLDS each probability in [0, 1] exceeds: uint8, flat.

    `level > k` is `p > THRESHOLDS[k]` to the last bit, in p's own precision, as NumPy and PyTorch compare.
    """
    return _grading(prob.dtype.str).levels(prob.ravel())


@dataclass(frozen=True)
class _Grading:
    """`edges` are the thresholds in p's type.

    As they are evenly spaced, float32's p * scale, cut to a whole number, is the level. Rounding keeps the order of
    what is multiplied, so this can go wrong only for the few values next to an edge: `strays` are all of those, with
    what is to be added to their level.
    """

    edges: Probs
    scale: Any
    strays: tuple[tuple[Any, int], ...]

    def levels(self, prob: Probs) -> Levels:
        if self.scale is None:
            return np.searchsorted(self.edges, prob, side="left").astype(np.uint8)
        levels: Levels = (prob * self.scale).astype(np.uint8)
        if int(self.scale) > len(self.edges):  # what probability 1 is multiplied to
            np.minimum(levels, len(self.edges), out=levels)
        for value, change in self.strays:
            equal = prob == value
            if equal.any():
                levels[equal] += np.uint8(change % 256)  # uint8 wraps around: 255 is -1
        return levels


@cache
def _grading(dtype: str) -> _Grading:
    if np.dtype(dtype).kind != "f":
        raise ValueError(f"probabilities are floating-point numbers in [0, 1], got {np.dtype(dtype)}")
    edges = np.array(THRESHOLDS, dtype=dtype)
    if dtype != np.dtype(np.float32).str:
        return _Grading(edges, None, ())
    candidates = [_scaled(edges, scale) for scale in _near(np.float32(1 / THRESHOLDS[0]), 8)]
    return min(candidates, key=lambda grading: len(grading.strays))


def _scaled(edges: Probs, scale: np.float32) -> _Grading:
    """The grading by this factor; walks from each edge to both sides as long as the product puts values wrongly."""
    strays: list[tuple[Any, int]] = []
    for level, edge in enumerate(edges):
        value = edge
        while int(value * scale) > level:
            strays.append((value, -1))
            value = np.nextafter(value, np.float32(-1))
        value = np.nextafter(edge, np.float32(2))
        while int(value * scale) <= level:
            strays.append((value, 1))
            value = np.nextafter(value, np.float32(2))
    return _Grading(edges, scale, tuple(strays))


def _near(value: np.float32, count: int) -> list[np.float32]:
    """The float32 numbers next to `value`, `count` to each side."""
    around = np.array(value).view(np.int32) + np.arange(-count, count + 1, dtype=np.int32)
    return list(around.view(np.float32))
