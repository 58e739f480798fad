"""Intersection over union in the variants that papers mix: how the empty case is taken, and what is averaged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.float64]


def smoothed_iou(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike) -> Values:
    """TP / (1 + TP + FP + FN): CLIPSeg's, in which empty against empty is 0 and nothing is ever quite 1."""
    tp, fp, fn = (np.asarray(pixels, dtype=np.float64) for pixels in (tp, fp, fn))
    return np.asarray(tp / (1 + tp + fp + fn))


def iou(intersection: ArrayLike, union: ArrayLike, empty: float) -> Values:
    """I / U, and `empty` where there is no union: both prediction and ground truth are empty."""
    i, u = np.asarray(intersection, dtype=np.float64), np.asarray(union, dtype=np.float64)
    return np.asarray(np.divide(i, u, out=np.full(np.broadcast(i, u).shape, float(empty)), where=u > 0))


class IouTally:
    """Mean IoU, IoU of the summed pixels, and the share of samples beyond each cut-off; at several thresholds at once.

    `empty` is the IoU of empty against empty; `strict` says whether a sample at a cut-off itself counts (IoU >= x) or
    not (IoU > x). update, merge, then read; every number is an array (thresholds,).
    """

    def __init__(self, cutoffs: Sequence[float], *, empty: float, strict: bool, thresholds: int = 1) -> None:
        self.cutoffs, self.empty, self.strict = tuple(cutoffs), empty, strict
        self.samples = 0
        self._sum = np.zeros(thresholds)
        self._intersection = np.zeros(thresholds, dtype=np.int64)
        self._union = np.zeros(thresholds, dtype=np.int64)
        self._beyond = np.zeros((len(self.cutoffs), thresholds), dtype=np.int64)

    def update(self, intersection: NDArray[Any], union: NDArray[Any]) -> Values:
        """Add one sample's pixels (thresholds,); gives its IoU back."""
        value = iou(intersection, union, self.empty)
        limits = np.array(self.cutoffs)[:, None]
        self.samples += 1
        self._sum += value
        self._intersection += intersection
        self._union += union
        self._beyond += value > limits if self.strict else value >= limits
        return value

    def merge(self, other: IouTally) -> None:
        """Add what another tally of the same kind has seen."""
        if (self.cutoffs, self.empty, self.strict) != (other.cutoffs, other.empty, other.strict):
            raise ValueError("only tallies of one definition can be merged")
        self.samples += other.samples
        self._sum += other._sum
        self._intersection += other._intersection
        self._union += other._union
        self._beyond += other._beyond

    @property
    def mean(self) -> Values:
        """The mean of the samples' IoU."""
        return self._sum / self.samples

    @property
    def overall(self) -> Values:
        """Summed intersection over summed union."""
        return iou(self._intersection, self._union, self.empty)

    @property
    def beyond(self) -> Values:
        """The share of samples beyond each cut-off: (cut-offs, thresholds)."""
        return self._beyond / self.samples
