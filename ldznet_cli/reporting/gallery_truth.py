"""What a ground truth says of each record: its IoU, by which the worst can be looked at first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import tee
from pathlib import Path

import numpy as np

from ldznet_cli.errors import AnnotationError, ImageError
from ldznet_cli.evaluation.answer import Answer
from ldznet_cli.evaluation.matching import Matcher
from ldznet_cli.evaluation.records import RecordedAnswers
from ldznet_cli.metrics import Prediction
from ldznet_cli.metrics.counts import count_mask
from ldznet_cli.metrics.iou import iou
from ldznet_cli.reporting.gallery import Exhibit
from ldznet_cli.samples.coco import SampleSet
from ldznet_cli.samples.record import Record
from ldznet_cli.samples.sample import Sample


def compared(records: Iterable[Record], folder: Path, samples: SampleSet) -> Iterator[Exhibit]:
    """Each record with its IoU at its own threshold and at the image's size, as the `native` protocol takes it, and
    without one where the ground truth does not know its image or phrase, or it has failed. Truths are not drawn yet:
    `with_truth` does that for those that are shown."""
    matcher = Matcher(samples)
    records, read = tee(records)
    answers = RecordedAnswers(read, source="records", folder=folder)
    for record, answer in zip(records, answers, strict=True):
        yield Exhibit(record, _iou(answer, _samples_of(answer, matcher, samples)))


def with_truth(exhibits: Sequence[Exhibit], samples: SampleSet) -> Iterator[Exhibit]:
    """The same, each with its true mask where there is one."""
    matcher = Matcher(samples)
    answers = RecordedAnswers([exhibit.record for exhibit in exhibits])
    for exhibit, answer in zip(exhibits, answers, strict=True):
        meant = _samples_of(answer, matcher, samples)
        masks = [sample.mask() for sample in meant]
        yield Exhibit(exhibit.record, exhibit.iou, np.logical_or.reduce(masks) if masks else None)


def _samples_of(answer: Answer, matcher: Matcher, samples: SampleSet) -> list[Sample]:
    found = matcher.find(answer)
    return [] if isinstance(found, str) else [samples.samples[index] for index in found]


def _iou(answer: Answer, samples: Sequence[Sample]) -> float | None:
    """The mean, where the same words are said of several things of the image."""
    if answer.error is not None or not samples:
        return None
    try:
        prediction = answer.load()
        return float(np.mean([_against(sample, prediction) for sample in samples]))
    except (ImageError, AnnotationError):
        return None


def _against(sample: Sample, prediction: Prediction) -> float:
    counts = count_mask(
        prediction.found(sample.width, sample.height),
        sample.mask(),
        sample.ignore() if sample.ignored else None,
    )
    return float(iou(counts.tp, counts.union, empty=1.0)[0])
