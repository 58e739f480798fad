"""The AP of one ranking over all pixels of a set, with its bootstrap interval over images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ldznet_cli.metrics.intervals import REPLICATES, interval_of, weights

BINS = 4096
"""Scores are told apart to 1 / 4095: enough for the AP's third digit, and few enough to be redrawn."""

Tally = NDArray[np.float64]


class PooledPrecision:
    """Pixels inside and outside the masks by score, image by image. update, then read."""

    def __init__(self, seed: int = 0, replicates: int = REPLICATES) -> None:
        self.seed, self.replicates = seed, replicates
        self._bins: dict[str, NDArray[np.int64]] = {}

    def update(self, image: str, prob: NDArray[np.float32], mask: NDArray[np.bool_]) -> None:
        """Add a map with values in [0, 1] and its mask, both (H, W)."""
        bins = np.rint(np.clip(prob, 0, 1) * (BINS - 1)).astype(np.int64) + BINS * mask
        counted = np.bincount(bins.ravel(), minlength=2 * BINS)
        self._bins[image] = self._bins[image] + counted if image in self._bins else counted

    @property
    def chance(self) -> float:
        """The share of pixels inside: the AP of scores that know nothing."""
        outside, inside = self._total().reshape(2, BINS).sum(axis=1)
        return float(inside / max(1, inside + outside))

    def average_precision(self) -> float:
        """Sum of (R_n - R_(n-1)) P_n over the scores from the highest; 0 without a pixel inside."""
        return float(_precision(self._total()[None].astype(np.float64))[0])

    def interval(self) -> tuple[float, float]:
        """95 %, over redrawn images; of one image alone, its own value twice."""
        value = self.average_precision()
        if len(self._bins) < 2 or not self.replicates:
            return value, value
        drawn = np.stack([weights(self.seed, image, self.replicates) for image in self._bins], axis=1)
        drawn = drawn[drawn.any(axis=1)]  # with few images, some replicates have none
        stacked = np.stack(list(self._bins.values())).astype(np.float32)
        seen = (
            stacked.any(axis=0).reshape(2, BINS).any(axis=0)
        )  # most bins stay empty: nothing to redraw there
        kept = np.tile(seen, 2)
        found = _precision((drawn.astype(np.float32) @ stacked[:, kept]).astype(np.float64))
        return interval_of(found) or (value, value)

    def _total(self) -> NDArray[np.int64]:
        return np.asarray(np.sum([*self._bins.values(), np.zeros(2 * BINS, dtype=np.int64)], axis=0))


def _precision(tallies: Tally) -> Tally:
    """AP (R,) of tallies (R, 2 S): outside, then inside, each by rising score; 0 without a pixel inside."""
    outside, inside = tallies.reshape(len(tallies), 2, -1)[:, :, ::-1].transpose(1, 0, 2)
    tp, found = inside.cumsum(axis=1), (inside + outside).cumsum(axis=1)
    precise = np.divide(tp, found, out=np.zeros_like(tp), where=found > 0)
    return np.asarray((inside * precise).sum(axis=1) / np.maximum(inside.sum(axis=1), 1))
