"""What a user of masks cares about: every image at its own size, and no formula that needs a footnote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ldznet_cli.metrics.average_precision import ScoreHistogram
from ldznet_cli.metrics.counts import count, count_mask
from ldznet_cli.metrics.intervals import ImageBootstrap
from ldznet_cli.metrics.iou import IouTally, Values
from ldznet_cli.metrics.protocol import Number, Prediction, Scorer, Truth
from ldznet_cli.metrics.thresholds import THRESHOLDS

CUTOFFS = (0.5, 0.7, 0.9)

_RULES = {"own": 0, "0.5": 1 + THRESHOLDS.index(0.5)}
"""The quoted threshold rules, and where their counts stand: each prediction's own first, then the 49."""


@dataclass(frozen=True)
class NativeMeasure:
    """One sample's pixels by threshold rule, and what its AP is counted from."""

    truth: Truth
    absent: bool
    intersection: NDArray[np.int64]
    union: NDArray[np.int64]
    prob: NDArray[np.floating[Any]]
    hard: bool


class Native(Scorer[NativeMeasure]):
    """Original resolution; p > t strictly; IoU = TP / (TP + FP + FN), and 1 for empty against empty.

    mIoU is the mean over samples, IoU_FG the ratio of summed pixels, Pr@x the share of samples with IoU >= x, AP the
    exact one over all pixels. `absent_FPR`: of the phrases that name nothing in their image, the share for which any
    pixel is found.
    """

    name = "native"
    version = "1"

    def __init__(self, *, seed: int = 0) -> None:
        rules = 1 + len(THRESHOLDS)
        self._tally = IouTally(CUTOFFS, empty=1.0, strict=False, thresholds=rules)
        self._absent = 0
        self._alarms = np.zeros(rules, dtype=np.int64)
        self._hard = 0
        self._scores = ScoreHistogram()
        self._bootstrap = ImageBootstrap(1 + 3 * len(_RULES), seed)

    @property
    def samples(self) -> int:
        return self._tally.samples

    def measure(self, truth: Truth, prediction: Prediction) -> NativeMeasure:
        prob = prediction.scores(*truth.size)
        found = prob > prediction.threshold if prediction.mask is None else prediction.mask
        own, swept = count_mask(found, truth.mask, truth.ignore), count(prob, truth.mask, truth.ignore)
        intersection = np.concatenate((own.tp, swept.tp))
        union = intersection + np.concatenate((own.fp + own.fn, swept.fp + swept.fn))
        absent = not (own.tp + own.fn).any()
        return NativeMeasure(truth, absent, intersection, union, prob, prediction.hard)

    def add(self, measure: NativeMeasure) -> None:
        ious = self._tally.update(measure.intersection, measure.union)
        self._bootstrap.update(measure.truth.image, _quantities(measure, ious))
        if measure.absent:
            self._absent += 1
            self._alarms += measure.union > 0
        if measure.hard:
            self._hard += 1
        else:
            self._scores.update(measure.prob, measure.truth.mask, measure.truth.ignore)

    def merge(self, other: Self) -> None:
        self._tally.merge(other._tally)
        self._absent += other._absent
        self._alarms += other._alarms
        self._hard += other._hard
        self._scores.merge(other._scores)
        self._bootstrap.merge(other._bootstrap)

    def compute(self) -> list[Number]:
        numbers = [*self._quoted("mIoU", self._tally.mean), *self._quoted("IoU_FG", self._tally.overall)]
        for cutoff, shares in zip(CUTOFFS, self._tally.beyond, strict=True):
            numbers += [Number(f"Pr@{cutoff}", float(shares[place]), rule) for rule, place in _RULES.items()]
        if self._absent:
            shares, note = self._alarms / self._absent, f"of {self._absent} absent phrases"
            numbers += [
                Number("absent_FPR", float(shares[place]), rule, note=note) for rule, place in _RULES.items()
            ]
        return [*numbers, self._precision()]

    def _quoted(self, metric: str, curve: Values) -> list[Number]:
        best = 1 + int(curve[1:].argmax())
        quoted = [
            Number(metric, float(curve[place]), rule, interval=self._interval(metric, k))
            for k, (rule, place) in enumerate(_RULES.items())
        ]
        return [*quoted, Number(metric, float(curve[best]), "best", at=THRESHOLDS[best - 1])]

    def _interval(self, metric: str, k: int) -> tuple[float, float] | None:
        iou, intersection, union = 1 + k, 1 + len(_RULES) + k, 1 + 2 * len(_RULES) + k
        if metric == "mIoU":
            return self._bootstrap.interval(lambda sums: np.asarray(sums[iou] / sums[0]))
        return self._bootstrap.interval(lambda sums: _ratio(sums[intersection], sums[union]))

    def _precision(self) -> Number:
        if self._hard:
            note = f"{self._hard} predictions are hard masks, which have no scores"
            return Number("AP", None, "every score", note=note)
        return Number("AP", self._scores.average_precision(), "every score", span=(0.0, 1.0))


def _quantities(measure: NativeMeasure, ious: Values) -> Values:
    places = list(_RULES.values())
    return np.concatenate(([1.0], ious[places], measure.intersection[places], measure.union[places]))


def _ratio(intersection: NDArray[Any], union: NDArray[Any]) -> Values:
    """I / U, 1 where a replicate drew only images in which nothing is and nothing was found."""
    return np.asarray(np.divide(intersection, union, out=np.ones_like(union), where=union > 0))
