"""Referring segmentation as on RefCOCO (yz93/LAVT-RIS: test.py, transforms.py; wl-zhao/VPD: refer/test.py)."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ldznet_cli.metrics.counts import count_mask
from ldznet_cli.metrics.intervals import REPLICATES
from ldznet_cli.metrics.iou import Overlap, OverlapSums
from ldznet_cli.metrics.phrasecut import CUTOFFS
from ldznet_cli.metrics.protocol import Number, Prediction, Scorer, Truth
from ldznet_cli.metrics.resampling import bilinear_corners, nearest_centre


class RefCoco(Scorer[Overlap]):
    """Everything squashed to 480 x 480, the ground truth by Pillow's nearest; foreground is p > 0.5. Polygons are drawn
    by pycocotools, as the REFER API of both sources does (lichengunc/refer: refer.py), since version 2.

    mIoU is the mean over sentences, 0 where the union is empty; oIoU the ratio of summed pixels; Pr@x the share with
    IoU >= x, not strictly. LAVT upsamples its logits bilinearly with aligned corners: probabilities are here.
    """

    name = "refcoco"
    version = "2"

    def __init__(self, size: int = 480, *, seed: int = 0, replicates: int = REPLICATES) -> None:
        self.size: int = size
        self._tally = OverlapSums(CUTOFFS, strict=False, seed=seed, replicates=replicates)

    @property
    def samples(self) -> int:
        return self._tally.sums.samples

    def measure(self, truth: Truth, prediction: Prediction) -> Overlap:
        size = self.size
        mask = nearest_centre(truth.mask if truth.coco is None else truth.coco, size, size)
        ignore = None if truth.ignore is None else nearest_centre(truth.ignore, size, size)
        counts = count_mask(self._found(truth, prediction), mask, ignore)
        return Overlap(truth.image, int(counts.tp[0]), int(counts.union[0]))

    def add(self, measure: Overlap) -> None:
        self._tally.add(measure)

    def merge(self, other: Self) -> None:
        if self.size != other.size:
            raise ValueError(f"refcoco at {self.size} and at {other.size} are two protocols")
        self._tally.merge(other._tally)

    def compute(self) -> list[Number]:
        return self._tally.numbers("mIoU", "oIoU", "Pr", "0.5")

    def _found(self, truth: Truth, prediction: Prediction) -> NDArray[np.bool_]:
        if prediction.prob is None:
            return nearest_centre(prediction.found(*truth.size), self.size, self.size)
        prob: NDArray[Any] = bilinear_corners(prediction.prob, self.size, self.size)
        return np.asarray(prob > 0.5)
