"""Phrases and their regions, as data sets give them, and the one COCO-style file that they all become."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from ldznet_cli.errors import AnnotationError, NothingToDo, PromptError
from ldznet_cli.samples.atomic import open_atomically
from ldznet_cli.samples.fields import Id
from ldznet_cli.samples.segmentation import read_segmentation
from ldznet_cli.samples.templates import clean_phrase


@dataclass(frozen=True)
class SourceImage:
    """An image as its data set describes it; `file_name` begins at the folder of the data set's images."""

    id: Id
    file_name: str
    width: int
    height: int


@dataclass(frozen=True)
class PhraseRegion:
    """One sample of a data set: a phrase about an image, and where it is true.

    `instances` are COCO `segmentation`s, unchecked. `id` is the data set's own: two samples may have the same words
    about the same image. `category` is what the phrase names, where the data set tells.
    """

    id: Id
    image: SourceImage
    split: str
    phrase: str
    category: str | None
    instances: tuple[Any, ...]


class PhraseRegions(Protocol):
    """A data set, or the chosen splits of one: `PhraseCut`, `RefCoco`."""

    description: str
    files: tuple[Path, ...]
    """What is read."""
    left_out: Counter[str]
    """What is not among the samples, and why: grows while they are read."""

    def __iter__(self) -> Iterator[PhraseRegion]:
        """Each sample once. Raises AnnotationError, UsageError."""


@dataclass
class Converted:
    """What went into the file."""

    samples: int = 0
    annotations: int = 0
    without_region: int = 0
    splits: Counter[str] = field(default_factory=Counter)
    images: dict[Id, SourceImage] = field(default_factory=dict)
    categories: dict[str, int] = field(default_factory=dict)


def write_coco(
    path: Path, regions: Iterable[PhraseRegion], description: str, left_out: Counter[str]
) -> Converted:
    """Write the samples as a COCO-style file, one at a time; it is whole or not there.

    Each instance is an annotation with its `phrase` and its sample's `sample_id`, by which `load_coco` keeps apart
    what the data set keeps apart. Phrases without words, or with control characters, are left out
    and counted in `left_out`.

    Raises AnnotationError (broken polygons, ids that occur twice), NothingToDo (no sample), DiskFull, LdznetError.
    """
    done = Converted()
    with open_atomically(path) as file:
        file.write(b'{"info": ' + _json({"description": description}) + b',\n"annotations": [')
        for entry in _annotations(regions, done, left_out):
            file.write((b",\n" if done.annotations else b"\n") + _json(entry))
            done.annotations += 1
        if not done.samples:
            raise NothingToDo(f"{description}: no phrase with a region in it: nothing is written")
        _write_rest(file, done)
    return done


def _annotations(
    regions: Iterable[PhraseRegion], done: Converted, left_out: Counter[str]
) -> Iterator[dict[str, Any]]:
    seen: set[Id] = set()
    for region in regions:
        try:
            clean_phrase(region.phrase)
        except PromptError:
            left_out[
                "phrases with control characters" if region.phrase.strip() else "phrases without words"
            ] += 1
            continue
        if region.id in seen:
            raise AnnotationError(f"sample {region.id!a} occurs twice: ids have to be unique")
        seen.add(region.id)
        _count(region, done)
        yield from _entries(region, done)


def _count(region: PhraseRegion, done: Converted) -> None:
    done.samples += 1
    done.splits[region.split] += 1
    done.images.setdefault(region.image.id, region.image)
    if region.category is not None:
        done.categories.setdefault(region.category, len(done.categories) + 1)
    done.without_region += not any(region.instances)


def _entries(region: PhraseRegion, done: Converted) -> Iterator[dict[str, Any]]:
    """One annotation an instance; one that is empty where there is none, so that the sample is in the count."""
    for number, instance in enumerate(region.instances or ([],)):
        try:
            read_segmentation(instance, region.image.width, region.image.height)
        except AnnotationError as error:
            raise AnnotationError(f"sample {region.id!a} of {region.split}: {error}") from error
        own: Mapping[str, Any] = (
            {} if region.category is None else {"category_id": done.categories[region.category]}
        )
        yield {
            "id": f"{region.id}/{number}",
            "image_id": region.image.id,
            "sample_id": region.id,
            "phrase": region.phrase,
            **own,
            "segmentation": instance,
        }


def _write_rest(file: BinaryIO, done: Converted) -> None:
    images = [
        {"id": image.id, "file_name": image.file_name, "width": image.width, "height": image.height}
        for image in done.images.values()
    ]
    categories = [{"id": number, "name": name} for name, number in done.categories.items()]
    for name, entries in (("images", images), ("categories", categories)):
        file.write(b'\n],\n"' + name.encode() + b'": [\n' + b",\n".join(map(_json, entries)))
    file.write(b"\n]}\n")


def _json(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False).encode()
