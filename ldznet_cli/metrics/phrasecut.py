"""PhraseCut's own evaluator (ChenyunWu/PhraseCutDataset: utils/evaluator.py, iou.py, data_transfer.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ldznet_cli.metrics.counts import count_mask
from ldznet_cli.metrics.iou import IouTally
from ldznet_cli.metrics.protocol import Number, Prediction, Scorer, Truth

CUTOFFS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""The code's; its README says 0.3, 0.5, 0.7, 0.9."""


@dataclass(frozen=True)
class Overlap:
    """One sample's pixels, int64 (1,)."""

    intersection: NDArray[np.int64]
    union: NDArray[np.int64]


class PhraseCut(Scorer[Overlap]):
    """Original size; polygons drawn with whole-numbered corners and their outline; each prediction's own threshold.

    mean_IoU over samples, 0 where nothing intersects (so also for empty against empty); cumulative_IoU of summed
    pixels; acc@x the share of samples with IoU > x, strictly. A missing prediction counts as an empty one, which is
    the second of the two figures that the evaluator prints.
    """

    name = "phrasecut"
    version = "1"

    def __init__(self) -> None:
        self._tally = IouTally(CUTOFFS, empty=0.0, strict=True)

    @property
    def samples(self) -> int:
        return self._tally.samples

    def measure(self, truth: Truth, prediction: Prediction) -> Overlap:
        mask = truth.mask if truth.outlined is None else truth.outlined
        counts = count_mask(prediction.found(*truth.size), mask, truth.ignore)
        return Overlap(counts.tp, counts.tp + counts.fp + counts.fn)

    def add(self, measure: Overlap) -> None:
        self._tally.update(measure.intersection, measure.union)

    def merge(self, other: Self) -> None:
        self._tally.merge(other._tally)

    def compute(self) -> list[Number]:
        tally = self._tally
        return [
            Number("mean_IoU", float(tally.mean[0]), "own"),
            Number("cumulative_IoU", float(tally.overall[0]), "own"),
            *(
                Number(f"acc@{x}", float(share[0]), "own")
                for x, share in zip(CUTOFFS, tally.beyond, strict=True)
            ),
        ]
