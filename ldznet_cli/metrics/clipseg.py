"""The protocol behind the paper's tables: CLIPSeg's (timojl/clipseg: metrics.py, score.py, datasets/phrasecut.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ldznet_cli.metrics.average_precision import ScoreHistogram, simpson_ap
from ldznet_cli.metrics.counts import Counts, count
from ldznet_cli.metrics.intervals import ImageBootstrap
from ldznet_cli.metrics.iou import Values, smoothed_iou
from ldznet_cli.metrics.protocol import Number, Prediction, Scorer, Truth
from ldznet_cli.metrics.resampling import bilinear_corners, nearest_floor
from ldznet_cli.metrics.thresholds import THRESHOLDS

QUOTED = (0.1, 0.2, 0.3, 0.5)
"""The thresholds that CLIPSeg's tables quote, beside the best of all."""

_PLACES = [THRESHOLDS.index(t) for t in QUOTED]
_SWEEP = f"{THRESHOLDS[0]}..{THRESHOLDS[-1]}"


@dataclass(frozen=True)
class ClipSegMeasure:
    """One sample on the square: its counts at the 49 thresholds, and what its exact AP is counted from."""

    image: str
    counts: Counts
    prob: NDArray[np.floating[Any]]
    mask: NDArray[np.bool_]
    ignore: NDArray[np.bool_] | None
    hard: bool


class ClipSeg(Scorer[ClipSegMeasure]):
    """Everything squashed to size x size: the ground truth by nearest, probabilities bilinearly (corners aligned).

    mIoU is the mean over samples of TP / (1 + TP + FP + FN); IoU_FG the same ratio of pixels summed over the data set;
    IoU_BIN its mean with the background's; AP Simpson's integral over 49 thresholds, beside the exact AP.
    `size` is 384 for LD-ZNet, 352 for CLIPSeg. A hard mask is squashed by nearest, as the ground truth is, and has
    no AP.
    `exact_ap` adds the exact AP, which takes longer than all the rest; whoever prints the AP should.
    """

    name = "clipseg"
    version = "1"

    def __init__(self, size: int = 384, *, seed: int = 0, exact_ap: bool = False) -> None:
        self.size: int = size
        self._samples = 0
        self._hard = 0
        self._sums = Counts.zeros()
        self._ious = np.zeros(len(THRESHOLDS))
        self._scores = ScoreHistogram() if exact_ap else None
        self._bootstrap = ImageBootstrap(1 + 3 * len(QUOTED), seed)

    @property
    def samples(self) -> int:
        return self._samples

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
        ious = smoothed_iou(counts.tp, counts.fp, counts.fn)
        self._samples += 1
        self._sums += counts
        self._ious += ious
        self._bootstrap.update(measure.image, _quantities(counts, ious))
        self._hard += measure.hard
        if self._scores is not None and not measure.hard:
            self._scores.update(measure.prob, measure.mask, measure.ignore)

    def merge(self, other: Self) -> None:
        if self.size != other.size or (self._scores is None) != (other._scores is None):
            raise ValueError(f"clipseg at {self.size} and at {other.size} are two protocols")
        self._samples += other.samples
        self._hard += other._hard
        self._sums += other._sums
        self._ious += other._ious
        self._bootstrap.merge(other._bootstrap)
        if self._scores is not None and other._scores is not None:
            self._scores.merge(other._scores)

    def compute(self) -> list[Number]:
        sums = self._sums
        foreground = smoothed_iou(sums.tp, sums.fp, sums.fn)
        both = (foreground + smoothed_iou(sums.tn, sums.fn, sums.fp)) / 2
        curves = {"mIoU": self._ious / self.samples, "IoU_FG": foreground, "IoU_BIN": both}
        numbers = [number for metric, curve in curves.items() for number in self._quoted(metric, curve)]
        return numbers + self._precision()

    def _quoted(self, metric: str, curve: Values) -> list[Number]:
        best = int(curve.argmax())
        quoted = [
            Number(metric, float(curve[place]), f"{t:g}", at=t, interval=self._interval(metric, k))
            for k, (t, place) in enumerate(zip(QUOTED, _PLACES, strict=True))
        ]
        return [*quoted, Number(metric, float(curve[best]), "best", at=THRESHOLDS[best])]

    def _interval(self, metric: str, k: int) -> tuple[float, float] | None:
        iou, tp, union = 1 + k, 1 + len(QUOTED) + k, 1 + 2 * len(QUOTED) + k
        if metric == "mIoU":
            return self._bootstrap.interval(lambda sums: np.asarray(sums[iou] / sums[0]))
        if metric == "IoU_FG":
            return self._bootstrap.interval(lambda sums: np.asarray(sums[tp] / (1 + sums[union])))
        return None

    def _precision(self) -> list[Number]:
        if self._hard:
            note = f"{self._hard} predictions are hard masks, which have no scores"
            return [
                Number("AP", None, _SWEEP, note=note),
                Number("AP_exact", None, "every score", note=note),
            ][: 1 + (self._scores is not None)]
        simpson = simpson_ap(self._sums)
        numbers = [Number("AP", simpson.value, _SWEEP, span=simpson.span)]
        if self._scores is not None:
            numbers.append(
                Number("AP_exact", self._scores.average_precision(), "every score", span=(0.0, 1.0))
            )
        return numbers


def _squashed(mask: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    return nearest_floor(mask, size, size)


def _quantities(counts: Counts, ious: Values) -> Values:
    tp = counts.tp[_PLACES]
    union = tp + counts.fp[_PLACES] + counts.fn[_PLACES]
    return np.concatenate(([1.0], ious[_PLACES], tp, union))
