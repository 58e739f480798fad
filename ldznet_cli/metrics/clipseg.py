"""The protocol behind the paper's tables: CLIPSeg's (timojl/clipseg: metrics.py, score.py, datasets/phrasecut.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ldznet_cli.metrics.average_precision import ScoreHistogram, simpson_ap
from ldznet_cli.metrics.counts import Counts, count
from ldznet_cli.metrics.intervals import REPLICATES, UNIT, ImageSums, Wholes, in_units
from ldznet_cli.metrics.iou import Values, smoothed_iou
from ldznet_cli.metrics.protocol import Curve, Number, Prediction, Scorer, Truth
from ldznet_cli.metrics.resampling import bilinear_corners, nearest_floor
from ldznet_cli.metrics.thresholds import THRESHOLDS

QUOTED = (0.1, 0.2, 0.3, 0.5)
"""The thresholds that CLIPSeg's tables quote, beside the best of all."""

_PLACES = [THRESHOLDS.index(t) for t in QUOTED]
_SWEEP = f"{THRESHOLDS[0]}..{THRESHOLDS[-1]}"
_T = len(THRESHOLDS)


@dataclass(frozen=True)
class ClipSegMeasure:
    """One sample on the square: its counts at the 49 thresholds, and what its exact AP is counted from."""

    image: str
    counts: Counts
    prob: NDArray[np.floating[Any]]
    mask: NDArray[np.bool_]
    ignore: NDArray[np.bool_] | None
    hard: bool

    @property
    def iou(self) -> float:
        """At 0.5, with the protocol's 1 in the denominator."""
        at = self.counts.at(THRESHOLDS.index(0.5))
        return float(smoothed_iou(at.tp, at.fp, at.fn))


class ClipSeg(Scorer[ClipSegMeasure]):
    """Everything squashed to size x size: the ground truth by nearest, probabilities bilinearly (corners aligned).

    mIoU is the mean over samples of TP / (1 + TP + FP + FN); IoU_FG the same ratio of pixels summed over the data set;
    IoU_BIN its mean with the background's; AP Simpson's integral over 49 thresholds, beside the exact AP.
    `size` is 384 for LD-ZNet, 352 for CLIPSeg. A hard mask is squashed by nearest, as the ground truth is, and has
    no AP.
    `exact_ap` adds the exact AP, which takes longer than all the rest; whoever prints the AP should. `ap_interval`
    gives the AP its interval: a tenth of a second at the end.
    """

    name = "clipseg"
    version = "1"

    def __init__(
        self,
        size: int = 384,
        *,
        seed: int = 0,
        exact_ap: bool = False,
        ap_interval: bool = False,
        replicates: int = REPLICATES,
    ) -> None:
        self.size: int = size
        self._hard = 0
        self._sums = ImageSums(2 + 3 * _T, seed, replicates)
        self._scores = ScoreHistogram() if exact_ap else None
        self._ap_interval = ap_interval

    @property
    def samples(self) -> int:
        return self._sums.samples

    def measure(self, truth: Truth, prediction: Prediction) -> ClipSegMeasure:
        size = self.size
        mask = _squashed(truth.mask, size)
        ignore = None if truth.ignore is None else _squashed(truth.ignore, size)
        if prediction.prob is None:
            prob: NDArray[Any] = _squashed(prediction.found(*truth.size), size).astype(np.float32)
        else:
            prob = bilinear_corners(prediction.prob, size, size)
        return ClipSegMeasure(truth.image, count(prob, mask, ignore), prob, mask, ignore, prediction.hard)

    def add(self, measure: ClipSegMeasure) -> None:
        counts = measure.counts
        positives, negatives = counts.tp[0] + counts.fn[0], counts.fp[0] + counts.tn[0]
        ious = in_units(smoothed_iou(counts.tp, counts.fp, counts.fn))
        self._sums.update(measure.image, np.concatenate(([positives, negatives], counts.tp, counts.fp, ious)))
        self._hard += measure.hard
        if self._scores is not None and not measure.hard:
            self._scores.update(measure.prob, measure.mask, measure.ignore)

    def merge(self, other: Self) -> None:
        if self.size != other.size or (self._scores is None) != (other._scores is None):
            raise ValueError(f"clipseg at {self.size} and at {other.size} are two protocols")
        self._hard += other._hard
        self._sums.merge(other._sums)
        if self._scores is not None and other._scores is not None:
            self._scores.merge(other._scores)

    def compute(self) -> list[Number]:
        replicates = self._sums.replicates
        drawn = {} if replicates is None else _curves(replicates)
        numbers = [
            number
            for metric, curve in _curves(self._sums.total[:, None]).items()
            for number in _quoted(metric, curve[:, 0], drawn.get(metric))
        ]
        return numbers + self._precision(replicates)

    def curves(self) -> list[Curve]:
        sweeps = _curves(self._sums.total[:, None])
        found: list[Curve | None] = [
            Curve("threshold", metric, THRESHOLDS, tuple(curve[:, 0].tolist()))
            for metric, curve in sweeps.items()
        ]
        if not self._hard:
            points = simpson_ap(_counts(self._sums.total)).points
            recall, precision = zip(*points, strict=True) if points else ((), ())
            found.append(Curve("recall", "precision", recall, precision))
            if self._scores is not None:
                found.append(self._scores.calibration())
        return [curve for curve in found if curve is not None]

    def _precision(self, replicates: Wholes | None) -> list[Number]:
        if self._hard:
            note = f"{self._hard} predictions are hard masks, which have no scores"
            return [
                Number("AP", None, _SWEEP, note=note),
                Number("AP_exact", None, "every score", note=note),
            ][: 1 + (self._scores is not None)]
        simpson = simpson_ap(_counts(self._sums.total))
        drawn = None if replicates is None or not self._ap_interval else _areas(replicates)
        numbers = [Number("AP", simpson.value, _SWEEP, span=simpson.span, drawn=drawn)]
        if self._scores is not None:
            exact = self._scores.average_precision()
            numbers.append(Number("AP_exact", exact, "every score", span=(0.0, 1.0)))
        return numbers


def _squashed(mask: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    return nearest_floor(mask, size, size)


def _counts(sums: Wholes) -> Counts:
    """The pixels at each threshold, (49, …), of sums (1 + Q, …)."""
    positives, negatives, tp, fp = sums[1], sums[2], sums[3 : 3 + _T], sums[3 + _T : 3 + 2 * _T]
    return Counts(tp, fp, positives - tp, negatives - fp)


def _curves(sums: Wholes) -> dict[str, Values]:
    """Each metric at the 49 thresholds (rows), of every column of sums."""
    counts = _counts(sums)
    foreground = smoothed_iou(counts.tp, counts.fp, counts.fn)
    both = (foreground + smoothed_iou(counts.tn, counts.fn, counts.fp)) / 2
    return {"mIoU": sums[3 + 2 * _T :] / (UNIT * sums[0]), "IoU_FG": foreground, "IoU_BIN": both}


def _quoted(metric: str, curve: Values, drawn: Values | None) -> list[Number]:
    best = int(curve.argmax())
    quoted = [
        Number(metric, float(curve[place]), f"{t:g}", at=t, drawn=None if drawn is None else drawn[place])
        for t, place in zip(QUOTED, _PLACES, strict=True)
    ]
    chosen = None if drawn is None else drawn.max(axis=0)
    return [*quoted, Number(metric, float(curve[best]), "best", at=THRESHOLDS[best], drawn=chosen)]


def _areas(replicates: Wholes) -> Values:
    """The AP of each replicate; nan where it cannot be had."""
    values = (simpson_ap(_counts(column)).value for column in replicates.T)
    return np.array([np.nan if value is None else value for value in values])
