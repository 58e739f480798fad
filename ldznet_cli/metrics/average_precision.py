"""Average precision over pixels: CLIPSeg's Simpson integral over 49 thresholds, and the exact one over all scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ldznet_cli.metrics.counts import Counts, Mask
from ldznet_cli.metrics.simpson import simpson
from ldznet_cli.metrics.thresholds import Probs

BINS = 2**16
"""As many as a 16-bit probability PNG has values: what comes from such a file falls into bins of its own."""

_CHUNK = 2**16
"""Pixels that are counted at once: few enough that what is computed on the way stays in the processor's cache."""


@dataclass(frozen=True)
class SimpsonAP:
    """CLIPSeg's AP, and the span of recall that it covers; both None where no threshold has a predicted pixel."""

    value: float | None
    span: tuple[float, float] | None


def simpson_ap(sums: Counts) -> SimpsonAP:
    """AP of the whole data set's summed counts (timojl/clipseg: metrics.py).

    P = TP / (1 + TP + FP) and R = TP / (1 + TP + FN) at each threshold with a predicted pixel; equal points once;
    sorted by recall (then precision); P integrated over R by Simpson's rule. No end points are added: the integral
    covers only the recall between the strictest and the loosest threshold, so a model whose probabilities lie close to
    0 and 1 gets less. Read it beside its span.
    """
    made = sums.tp + sums.fp > 0
    if not made.any():
        return SimpsonAP(None, None)
    tp, fp, fn = sums.tp[made], sums.fp[made], sums.fn[made]
    points = sorted(set(zip((tp / (1 + tp + fn)).tolist(), (tp / (1 + tp + fp)).tolist(), strict=True)))
    recall, precision = (list(values) for values in zip(*points, strict=True))
    return SimpsonAP(float(simpson(precision, recall)), (recall[0], recall[-1]))


class ScoreHistogram:
    """How often each score occurs inside and outside the ground truth: all that the exact AP needs, in 1 MB.

    Scores are rounded to the nearest k / 65535. update, merge, average_precision.
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
        bins = self._bins.reshape(2, BINS)
        fp, tp = bins[:, bins.any(axis=0)][:, ::-1].cumsum(axis=1)
        if not tp.size or tp[-1] == 0:
            return None
        gained = np.diff(tp, prepend=0) / tp[-1]
        return float(np.sum(gained * (tp / (tp + fp))))


def _bin_of(scores: Probs, inside: Mask) -> NDArray[np.int32]:
    """The bin of each score; scores inside the mask are counted in the upper half."""
    rounded = scores * scores.dtype.type(BINS - 1)
    rounded += scores.dtype.type(0.5)
    bins = rounded.astype(np.int32)
    bins |= inside.astype(np.int32) << 16
    return bins
