"""PhraseCut's own evaluator (ChenyunWu/PhraseCutDataset: utils/evaluator.py, iou.py, data_transfer.py)."""

from __future__ import annotations

from typing import Self

from ldznet_cli.metrics.counts import count_mask
from ldznet_cli.metrics.intervals import REPLICATES
from ldznet_cli.metrics.iou import Overlap, OverlapSums
from ldznet_cli.metrics.protocol import Number, Prediction, Scorer, Truth

CUTOFFS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""The code's; its README says 0.3, 0.5, 0.7, 0.9."""


class PhraseCut(Scorer[Overlap]):
    """Original size; polygons drawn with whole-numbered corners and their outline; each prediction's own threshold.

    mean_IoU over samples, 0 where nothing intersects (so also for empty against empty); cumulative_IoU of summed
    pixels; acc@x the share of samples with IoU > x, strictly. A missing prediction counts as an empty one, which is
    the second of the two figures that the evaluator prints.
    """

    name = "phrasecut"
    version = "1"

    def __init__(self, *, seed: int = 0, replicates: int = REPLICATES) -> None:
        self._tally = OverlapSums(CUTOFFS, strict=True, seed=seed, replicates=replicates)

    @property
    def samples(self) -> int:
        return self._tally.sums.samples

    def measure(self, truth: Truth, prediction: Prediction) -> Overlap:
        mask = truth.mask if truth.outlined is None else truth.outlined
        counts = count_mask(prediction.found(*truth.size), mask, truth.ignore)
        return Overlap(truth.image, int(counts.tp[0]), int(counts.union[0]))

    def add(self, measure: Overlap) -> None:
        self._tally.add(measure)

    def merge(self, other: Self) -> None:
        self._tally.merge(other._tally)

    def compute(self) -> list[Number]:
        return self._tally.numbers("mean_IoU", "cumulative_IoU", "acc", "own")
