"""Predictions as a COCO results file: [{"image_id", "category_id", "segmentation", "score"}, …], of any segmenter."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ldznet_cli.errors import AnnotationError, UsageError
from ldznet_cli.evaluation.answer import Answer, ImageKey
from ldznet_cli.evaluation.matching import Matcher
from ldznet_cli.metrics import Prediction
from ldznet_cli.samples.coco import SampleSet
from ldznet_cli.samples.fields import Fields, Id
from ldznet_cli.samples.labels import PHRASE_FIELDS
from ldznet_cli.samples.masks import union
from ldznet_cli.samples.sample import Sample
from ldznet_cli.samples.segmentation import Segmentation, read_segmentation


@dataclass
class _Found:
    """All results of one (image, phrase)."""

    sample: Sample
    parts: list[Segmentation] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)


class CocoResults:
    """A result is about the ground truth's `image_id`, or the image called `file_name`; it names its phrase (`phrase`,
    `caption`, …) or the `category_id` of the ground truth's category.

    All results of one image and phrase are one prediction: the union of their masks, whatever their scores; its
    presence score is the highest of those. The whole file is read at once. Raises UsageError for a file that cannot
    be read, AnnotationError for anything wrong in it.
    """

    def __init__(self, path: Path, samples: SampleSet) -> None:
        self.source = str(path)
        self._found, self._strangers = _read(path, samples)

    def __iter__(self) -> Iterator[Answer]:
        for found in self._found.values():
            image = ImageKey(found.sample.image.name)
            where = f"{self.source}, image_id {found.sample.image_id!r}"
            yield Answer(image, found.sample.phrase, partial(_prediction, found), where=where)
        for name, phrase in self._strangers:
            yield Answer(ImageKey(name), phrase, Prediction.nothing, where=self.source)


def _prediction(found: _Found) -> Prediction:
    width, height = found.sample.width, found.sample.height
    mask = union((part.mask(width, height) for part in found.parts), width, height)
    return Prediction(mask=mask, score=max(found.scores) if found.scores else None)


def _read(path: Path, samples: SampleSet) -> tuple[dict[tuple[str, str], _Found], list[tuple[str, str]]]:
    """By image and phrase what is there, and the (image, phrase)s that nothing was annotated for."""
    first = {(sample.image.name, sample.phrase): sample for sample in reversed(samples.samples)}
    names = {sample.image_id: sample.image.name for sample in samples.samples}
    matcher = Matcher(samples)
    found: dict[tuple[str, str], _Found] = {}
    strangers: dict[tuple[str, str], None] = {}
    for place, value in enumerate(_load(path)):
        entry = Fields.of(value, f"{path}: result {place}")
        for phrase in _phrases(entry, samples):
            key = _name(entry, names, matcher), phrase
            if key in first:
                _add(found.setdefault(key, _Found(first[key])), entry)
            else:
                strangers[key] = None
    return found, list(strangers)


def _load(path: Path) -> list[Any]:
    try:
        value = json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{path}: not JSON ({error}): expected COCO results") from error
    if not isinstance(value, list):
        raise AnnotationError(
            f'{path}: expected COCO results, [{{"image_id": …, "category_id": …, "segmentation": …}}, …]; '
            "records go one a line into a .jsonl file"
        )
    return value


def _name(entry: Fields, names: Mapping[Id, str], matcher: Matcher) -> str:
    """The image's as the ground truth calls it; as the entry does where it has none such."""
    if entry.has("file_name"):
        told = entry.text("file_name")
        known = matcher.named(told)
        return told if known is None else known.name
    return names.get(entry.id("image_id"), f"image_id {entry.id('image_id')}")


def _phrases(entry: Fields, samples: SampleSet) -> tuple[str, ...]:
    for name in PHRASE_FIELDS:
        if entry.has(name) and (phrase := " ".join(entry.text(name).split())):
            return (phrase,)
    key = entry.id("category_id")
    if key not in samples.categories:
        raise AnnotationError(
            f"{entry.where}: category_id {key!r:.60} is not among the categories of {samples.path}"
        )
    return samples.categories[key]


def _add(found: _Found, entry: Fields) -> None:
    sample = found.sample
    if not entry.has("segmentation"):
        raise AnnotationError(f"{entry.where}: segmentation is missing: masks are needed, boxes do not do")
    try:
        found.parts.append(read_segmentation(entry.get("segmentation"), sample.width, sample.height))
    except AnnotationError as error:
        raise AnnotationError(f"{entry.where}: {error}") from error
    score = entry.number_or_none("score")
    if score is not None:
        found.scores.append(score)
