"""What a user of masks cares about: every image at its own size, and no formula that needs a footnote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ldznet_cli.metrics.average_precision import ScoreHistogram
from ldznet_cli.metrics.counts import count, count_mask
from ldznet_cli.metrics.intervals import REPLICATES, UNIT, ImageSums, Wholes, in_units
from ldznet_cli.metrics.iou import Values, iou
from ldznet_cli.metrics.protocol import Curve, Number, Prediction, Scorer, Truth
from ldznet_cli.metrics.thresholds import THRESHOLDS

CUTOFFS = (0.5, 0.7, 0.9)

_RULES = {"own": 0, "0.5": 1 + THRESHOLDS.index(0.5)}
"""The quoted threshold rules, and where their counts stand: each prediction's own first, then the 49."""

_PLACES = list(_RULES.values())
_T = 1 + len(THRESHOLDS)
_QUOTED = 1 + (1 + len(CUTOFFS)) * len(_RULES)
"""Quantities before the curves: absent samples, and by rule the alarms among them and the IoUs beyond each cut-off."""


@dataclass(frozen=True)
class NativeMeasure:
    """One sample's pixels by threshold rule, and what its rankings are counted from."""

    truth: Truth
    absent: bool
    intersection: NDArray[np.int64]
    union: NDArray[np.int64]
    prob: NDArray[np.floating[Any]]
    hard: bool
    presence: float | None

    @property
    def ious(self) -> Values:
        """By rule; empty against empty is 1."""
        return iou(self.intersection, self.union, 1.0)

    @property
    def iou(self) -> float:
        """At the prediction's own threshold."""
        return float(self.ious[0])


class Native(Scorer[NativeMeasure]):
    """Original resolution; p > t strictly; IoU = TP / (TP + FP + FN), and 1 for empty against empty.

    mIoU is the mean over samples, IoU_FG the ratio of summed pixels, Pr@x the share of samples with IoU >= x, AP the
    exact one over all pixels (`exact_ap`). Of the phrases that name nothing in their image, `absent_FPR` is the share
    for which any pixel is found, and `presence_AUROC` says how well the presence scores tell them from the others.
    """

    name = "native"
    version = "1"

    def __init__(self, *, seed: int = 0, exact_ap: bool = True, replicates: int = REPLICATES) -> None:
        self._sums = ImageSums(_QUOTED + 3 * _T, seed, replicates)
        self._hard = 0
        self._unscored = 0
        self._scores = ScoreHistogram() if exact_ap else None
        self._presence = ScoreHistogram() if exact_ap else None

    @property
    def samples(self) -> int:
        return self._sums.samples

    def measure(self, truth: Truth, prediction: Prediction) -> NativeMeasure:
        prob = prediction.scores(*truth.size)
        found = prob > prediction.threshold if prediction.mask is None else prediction.mask
        own, swept = count_mask(found, truth.mask, truth.ignore), count(prob, truth.mask, truth.ignore)
        intersection = np.concatenate((own.tp, swept.tp))
        union = np.concatenate((own.union, swept.union))
        absent = not (own.tp + own.fn).any() if truth.absent is None else truth.absent
        return NativeMeasure(truth, absent, intersection, union, prob, prediction.hard, prediction.presence)

    def add(self, measure: NativeMeasure) -> None:
        self._sums.update(measure.truth.image, _quantities(measure))
        self._hard += measure.hard
        self._unscored += measure.presence is None
        if self._scores is not None and not measure.hard:
            self._scores.update(measure.prob, measure.truth.mask, measure.truth.ignore)
        if self._presence is not None and measure.presence is not None:
            self._presence.update(np.array([measure.presence]), np.array([not measure.absent]))

    def merge(self, other: Self) -> None:
        self._sums.merge(other._sums)
        self._hard += other._hard
        self._unscored += other._unscored
        for mine, theirs in ((self._scores, other._scores), (self._presence, other._presence)):
            if mine is not None and theirs is not None:
                mine.merge(theirs)

    def compute(self) -> list[Number]:
        replicates = self._sums.replicates
        drawn = {} if replicates is None else _curves(replicates)
        quoted = {} if replicates is None else _shares(replicates)
        numbers = [
            number
            for metric, curve in _curves(self._sums.total[:, None]).items()
            for number in _quoted(metric, curve[:, 0], drawn.get(metric))
        ]
        absent = int(self._sums.total[1])
        for (metric, rule), share in _shares(self._sums.total[:, None]).items():
            if metric != "absent_FPR":
                numbers.append(Number(metric, float(share[0]), rule, drawn=quoted.get((metric, rule))))
            elif absent:
                note, those = f"of {absent} absent phrases", quoted.get((metric, rule))
                numbers.append(Number(metric, float(share[0]), rule, note=note, drawn=those))
        return [*numbers, *self._rankings(absent)]

    def curves(self) -> list[Curve]:
        found: list[Curve | None] = [
            Curve("threshold", metric, THRESHOLDS, tuple(curve[1:, 0].tolist()))
            for metric, curve in _curves(self._sums.total[:, None]).items()
        ]
        if self._scores is not None and not self._hard:
            found += [self._scores.precision_recall(), self._scores.calibration()]
        return [curve for curve in found if curve is not None]

    def _rankings(self, absent: int) -> list[Number]:
        numbers: list[Number] = []
        if self._presence is not None and 0 < absent < self.samples:
            note = f"{self._unscored} predictions have no presence score" if self._unscored else None
            value = None if note else self._presence.auroc()
            numbers.append(Number("presence_AUROC", value, "every score", note=note))
        if self._hard:
            note = f"{self._hard} predictions are hard masks, which have no scores"
            numbers.append(Number("AP", None, "every score", note=note))
        elif self._scores is not None:
            value = self._scores.average_precision()
            numbers.append(Number("AP", value, "every score", span=(0.0, 1.0)))
        return numbers


def _quantities(measure: NativeMeasure) -> Wholes:
    ious = measure.ious
    alarms = measure.absent & (measure.union[_PLACES] > 0)
    beyond = [ious[_PLACES] >= x for x in CUTOFFS]
    curves = (in_units(ious), measure.intersection, measure.union)
    return np.concatenate(([measure.absent], alarms, *beyond, *curves)).astype(np.int64)


def _shares(sums: Wholes) -> dict[tuple[str, str], Values]:
    """The shares of samples, by (metric, threshold rule), of every column of sums."""
    samples, absent, counted = sums[0], sums[1], iter(sums[2 : 1 + _QUOTED])
    with np.errstate(invalid="ignore"):  # a replicate without an absent phrase cannot tell: nan
        alarms = {("absent_FPR", rule): next(counted) / absent for rule in _RULES}
    return {(f"Pr@{x}", rule): next(counted) / samples for x in CUTOFFS for rule in _RULES} | alarms


def _curves(sums: Wholes) -> dict[str, Values]:
    """mIoU and IoU_FG by rule (rows), of every column of sums; IoU_FG is 1 where nothing is and nothing was found."""
    ious, intersection, union = (sums[1 + _QUOTED + k * _T : 1 + _QUOTED + (k + 1) * _T] for k in range(3))
    return {"mIoU": ious / (UNIT * sums[0]), "IoU_FG": iou(intersection, union, 1.0)}


def _quoted(metric: str, curve: Values, drawn: Values | None) -> list[Number]:
    best = 1 + int(curve[1:].argmax())
    quoted = [
        Number(metric, float(curve[place]), rule, drawn=None if drawn is None else drawn[place])
        for rule, place in _RULES.items()
    ]
    chosen = None if drawn is None else drawn[1:].max(axis=0)
    return [*quoted, Number(metric, float(curve[best]), "best", at=THRESHOLDS[best - 1], drawn=chosen)]
