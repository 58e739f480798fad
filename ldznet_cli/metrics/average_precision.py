"""Average precision over pixels: CLIPSeg's Simpson integral over 49 thresholds, and the exact one over all scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ldznet_cli.metrics.counts import Counts, Mask
from ldznet_cli.metrics.protocol import Curve
from ldznet_cli.metrics.simpson import simpson
from ldznet_cli.metrics.thresholds import Probs

BINS = 2**16
"""As many as a 16-bit probability PNG has values: what comes from such a file falls into bins of its own."""

_CHUNK = 2**16
"""Pixels that are counted at once: few enough that what is computed on the way stays in the processor's cache."""


@dataclass(frozen=True)
class SimpsonAP:
    """CLIPSeg's AP and the (recall, precision) that it runs through; None where no threshold has a predicted pixel."""

    value: float | None
    points: tuple[tuple[float, float], ...] = ()

    @property
    def span(self) -> tuple[float, float] | None:
        """The recall that is covered."""
        return (self.points[0][0], self.points[-1][0]) if self.points else None


def simpson_ap(sums: Counts) -> SimpsonAP:
    """AP of the whole data set's summed counts (timojl/clipseg: metrics.py).

    P = TP / (1 + TP + FP) and R = TP / (1 + TP + FN) at each threshold with a predicted pixel; equal points once;
    sorted by recall (then precision); P integrated over R by Simpson's rule. No end points are added: the integral
    covers only the recall between the strictest and the loosest threshold, so a model whose probabilities lie close to
    0 and 1 gets less. Read it beside its span.
    """
    made = sums.tp + sums.fp > 0
    if not made.any():
        return SimpsonAP(None)
    tp, fp, fn = sums.tp[made], sums.fp[made], sums.fn[made]
    points = sorted(set(zip((tp / (1 + tp + fn)).tolist(), (tp / (1 + tp + fp)).tolist(), strict=True)))
    recall, precision = zip(*points, strict=True)
    return SimpsonAP(float(simpson(precision, recall)), tuple(points))


class ScoreHistogram:
    """How often each score occurs inside and outside the ground truth: all that exact rankings need, in 1 MB.

    Scores are rounded to the nearest k / 65535. update, merge, then read.
    """

    def __init__(self) -> None:
        self._bins = np.zeros(2 * BINS, dtype=np.int64)

    def update(self, prob: Probs, mask: Mask, ignore: Mask | None = None) -> None:
        """Add a map with values in [0, 1] and its mask, both (H, W), pixels under `ignore` left out."""
        scores, inside = prob.ravel(), mask.ravel()
        if ignore is not None:
            kept = ~ignore.ravel()
            scores, inside = scores[kept], inside[kept]
        for start in range(0, scores.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            np.add.at(self._bins, _bin_of(scores[part], inside[part]), 1)

    def merge(self, other: ScoreHistogram) -> None:
        """Add what another histogram has seen."""
        self._bins += other._bins

    def average_precision(self) -> float | None:
        """Sum of (R_n - R_(n-1)) P_n over all distinct scores from the highest; None without a foreground pixel.

        The same as scikit-learn's average_precision_score on the rounded scores.
        """
        fp, tp = self._from_the_top()
        if not tp.size or tp[-1] == 0:
            return None
        gained = np.diff(tp, prepend=0) / tp[-1]
        return float(np.sum(gained * (tp / (tp + fp))))

    def auroc(self) -> float | None:
        """The chance that a score from inside is above one from outside, ties as a half; None without one of each.

        The same as scikit-learn's roc_auc_score on the rounded scores.
        """
        outside, inside = self._bins.reshape(2, BINS)
        pairs = int(outside.sum()) * int(inside.sum())
        won = inside * (2 * outside.cumsum() - outside)
        return int(won.sum()) / (2 * pairs) if pairs else None

    def precision_recall(self) -> Curve | None:
        """Precision over recall, from the highest score on, at most 200 points; None without a foreground pixel."""
        fp, tp = self._from_the_top()
        if not tp.size or tp[-1] == 0:
            return None
        recall, precision = tp / tp[-1], tp / (tp + fp)
        places = np.unique(np.searchsorted(recall, np.linspace(recall[0], 1, 200)))
        return Curve("recall", "precision", tuple(recall[places].tolist()), tuple(precision[places].tolist()))

    def calibration(self) -> Curve | None:
        """Of pixels with about one probability, the share in the mask over the mean probability; None for no pixel."""
        by_bin = self._bins.reshape(2, 16, -1)
        pixels = by_bin.sum(axis=(0, 2))
        seen = pixels > 0
        if not seen.any():
            return None
        scores = (np.arange(BINS) / (BINS - 1)).reshape(by_bin.shape[1:])
        mean = (by_bin.sum(axis=0) * scores).sum(axis=1)[seen] / pixels[seen]
        share = by_bin[1].sum(axis=1)[seen] / pixels[seen]
        return Curve(
            "calibration",
            "share in the mask",
            tuple(mean.tolist()),
            tuple(share.tolist()),
            tuple(pixels[seen].tolist()),
        )

    def _from_the_top(self) -> NDArray[np.int64]:
        """(outside, inside) with at least each of the distinct scores, the highest first: (2, S)."""
        bins = self._bins.reshape(2, BINS)
        return np.asarray(bins[:, bins.any(axis=0)][:, ::-1].cumsum(axis=1))


def _bin_of(scores: Probs, inside: Mask) -> NDArray[np.int32]:
    """The bin of each score; scores inside the mask are counted in the upper half."""
    if scores.dtype == np.float16:  # which ends at 65504
        scores = scores.astype(np.float32)
    rounded = scores * scores.dtype.type(BINS - 1)
    rounded += scores.dtype.type(0.5)
    bins = rounded.astype(np.int32)
    bins |= inside.astype(np.int32) << 16
    return bins
