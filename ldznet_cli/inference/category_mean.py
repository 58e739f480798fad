"""The floor for any table: a phrase's mean training mask. It knows the words and never looks at the image."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ldznet_cli.errors import UsageError
from ldznet_cli.inference.predictor import PredictorIdentity, ProbMap
from ldznet_cli.metrics.counts import count
from ldznet_cli.metrics.iou import iou
from ldznet_cli.metrics.thresholds import THRESHOLDS
from ldznet_cli.samples.coco import SampleSet
from ldznet_cli.samples.record import RecordGeometry
from ldznet_cli.samples.sample import Sample
from ldznet_cli.samples.templates import clean_phrase

SIZE = 64
"""Side of the square, in pixels, that all masks are squashed to."""

Mean = NDArray[np.float32]


class CategoryMeanPredictor:
    """Answers each phrase by the mean of its masks in `samples`, and a phrase that is not there by the mean of all.

    The threshold is the one that is best on `samples` themselves (mIoU on the square): training data, never those a
    number is reported on. Raises UsageError when nothing is annotated there.
    """

    def __init__(self, samples: SampleSet) -> None:
        self._samples = [sample for sample in samples.samples if not sample.absent]
        if not self._samples:
            raise UsageError(f"{samples.path} has no mask to take the mean of")
        self._means = {phrase: _mean(found) for phrase, found in _by_phrase(self._samples).items()}
        self._any = _mean(self._samples)
        digest = hashlib.sha256(
            json.dumps([samples.digest, samples.groups_digest, SIZE]).encode()
        ).hexdigest()
        self.identity = PredictorIdentity("category-mean", samples.path.name, digest)

    @cached_property
    def threshold(self) -> float:
        """Of the 49 thresholds the one with the best mean IoU over the training samples."""
        total = np.zeros(len(THRESHOLDS))
        for phrase, found in _by_phrase(self._samples).items():
            for sample in found:
                counts = count(self._means[phrase], _squashed(sample) >= 0.5)
                total += iou(counts.tp, counts.union, empty=1.0)
        return THRESHOLDS[int(total.argmax())]

    def check(self, phrases: Sequence[str]) -> None:
        """Raises PromptError for the first phrase that is empty."""
        for phrase in phrases:
            clean_phrase(phrase)

    def predict(self, image: Image.Image, sha256: str, phrases: Sequence[str]) -> list[ProbMap]:  # noqa: ARG002
        """The phrase's mean, whatever the image shows."""
        geometry = RecordGeometry("square", SIZE, (SIZE, SIZE))
        return [ProbMap(self._means.get(clean_phrase(phrase), self._any), geometry) for phrase in phrases]


def _by_phrase(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        found.setdefault(clean_phrase(sample.phrase), []).append(sample)
    return found


def _mean(samples: Sequence[Sample]) -> Mean:
    total = np.zeros((SIZE, SIZE))
    for sample in samples:
        total += _squashed(sample)
    return (total / len(samples)).astype(np.float32)


def _squashed(sample: Sample) -> Mean:
    """How much of each position of the square is covered, in [0, 1]."""
    mask = Image.fromarray(sample.mask().astype(np.float32))
    return np.asarray(mask.resize((SIZE, SIZE), Image.Resampling.BOX), dtype=np.float32)
