"""Intersection over union in the variants that papers mix: how the empty case is taken, and what is averaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ldznet_cli.metrics.intervals import UNIT, ImageSums, Wholes, in_units
from ldznet_cli.metrics.protocol import Number

Values = NDArray[np.float64]


def smoothed_iou(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike) -> Values:
    """TP / (1 + TP + FP + FN): CLIPSeg's, in which empty against empty is 0 and nothing is ever quite 1."""
    tp, fp, fn = (np.asarray(pixels, dtype=np.float64) for pixels in (tp, fp, fn))
    return np.asarray(tp / (1 + tp + fp + fn))


def iou(intersection: ArrayLike, union: ArrayLike, empty: float) -> Values:
    """I / U, and `empty` where there is no union: both prediction and ground truth are empty."""
    i, u = np.asarray(intersection, dtype=np.float64), np.asarray(union, dtype=np.float64)
    return np.asarray(np.divide(i, u, out=np.full(np.broadcast(i, u).shape, float(empty)), where=u > 0))


@dataclass(frozen=True)
class Overlap:
    """One sample at one threshold: whose image, and how many pixels are in both masks and in either."""

    image: str
    intersection: int
    union: int

    @property
    def iou(self) -> float:
        """I / U, 0 for empty against empty."""
        return self.intersection / self.union if self.union else 0.0


class OverlapSums:
    """Mean IoU, IoU of the summed pixels, and the share of samples beyond each cut-off; empty against empty is 0.

    `strict` says whether a sample at a cut-off itself counts (IoU >= x) or not (IoU > x).
    """

    def __init__(self, cutoffs: Sequence[float], *, strict: bool, seed: int, replicates: int) -> None:
        self.cutoffs, self.strict = tuple(cutoffs), strict
        self.sums = ImageSums(3 + len(self.cutoffs), seed, replicates)

    def add(self, sample: Overlap) -> None:
        beyond = [sample.iou > x if self.strict else sample.iou >= x for x in self.cutoffs]
        quantities = (in_units(sample.iou), sample.intersection, sample.union, *beyond)
        self.sums.update(sample.image, np.array(quantities, dtype=np.int64))

    def merge(self, other: OverlapSums) -> None:
        self.sums.merge(other.sums)

    def numbers(self, mean: str, overall: str, share: str, rule: str) -> list[Number]:
        """The numbers under the protocol's own names."""
        names = [mean, overall, *(f"{share}@{x}" for x in self.cutoffs)]
        values, replicates = self._all(self.sums.total[:, None]), self.sums.replicates
        drawn: Iterator[Values | None] = iter(
            [None] * len(names) if replicates is None else self._all(replicates)
        )
        return [
            Number(name, float(value[0]), rule, drawn=those)
            for name, value, those in zip(names, values, drawn, strict=True)
        ]

    def _all(self, sums: Wholes) -> list[Values]:
        samples = sums[0]
        return [
            sums[1] / (UNIT * samples),
            iou(sums[2], sums[3], 0.0),
            *(row / samples for row in sums[4:]),
        ]
