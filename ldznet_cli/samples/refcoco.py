"""RefCOCO, RefCOCO+ and RefCOCOg (G-Ref), as lichengunc/refer gives them out: `refs(<who>).p` and `instances.json`."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ldznet_cli.errors import AnnotationError, UsageError
from ldznet_cli.samples.fields import Fields, Id
from ldznet_cli.samples.json_stream import json_entries
from ldznet_cli.samples.phrase_regions import PhraseRegion, SourceImage
from ldznet_cli.samples.plain_pickle import read_plain_pickle

SPLIT_BY = ("unc", "umd", "google")
"""Who split the data, the first one that is there by default: UNC's RefCOCO and RefCOCO+, UMD's RefCOCOg (Google's has
the same images in training and validation, and no test set)."""

_INSTANCES = "instances.json"


@dataclass(frozen=True)
class _Ref:
    """One object that people referred to, in one or several sentences."""

    annotation: Id
    image: Id
    split: str
    sentences: tuple[tuple[Id, str], ...]


class RefCoco:
    """Every sentence of every ref in the folder of one data set (`refcoco`, `refcoco+`, `refcocog`), all splits or the
    ones named; "test" is also "testA" and "testB".

    Raises UsageError (missing files, unknown splits), AnnotationError (a pickle that holds more than plain values).
    """

    def __init__(self, folder: Path, splits: Sequence[str] = (), split_by: str | None = None) -> None:
        self.left_out: Counter[str] = Counter()
        self._instances = folder / _INSTANCES
        if not self._instances.is_file():
            raise UsageError(
                f"{self._instances}: no such file: expected the folder of one data set, such as data/refcoco, with "
                f"{_INSTANCES} and refs(unc).p"
            )
        path = _refs_file(folder, split_by)
        self.files: tuple[Path, ...] = (self._instances, path)
        refs = _read_refs(path)
        self._refs, self.splits = _chosen(refs, splits, path)
        self.description = f"{folder.resolve().name}, {path.name}: {', '.join(self.splits)}"

    def __iter__(self) -> Iterator[PhraseRegion]:
        """In the order of the annotations in `instances.json`, which is read twice: it need not fit into memory."""
        images, categories = self._images_and_categories()
        waiting: defaultdict[Id, list[_Ref]] = defaultdict(list)
        for ref in self._refs:
            waiting[ref.annotation].append(ref)
        for _, entry in self._entries("annotations"):
            for ref in waiting.pop(entry.id("id"), ()):
                yield from _regions(ref, entry, images, categories)
        if waiting:
            raise AnnotationError(
                f"{self._instances}: {len(waiting)} annotations that the refs name are not in it, among them "
                f"{next(iter(waiting))!a}: do both files belong to the same data set?"
            )

    def _images_and_categories(self) -> tuple[dict[Id, SourceImage], dict[Id, str]]:
        wanted = {ref.image for ref in self._refs}
        images: dict[Id, SourceImage] = {}
        categories: dict[Id, str] = {}
        for kind, entry in self._entries("images", "categories"):
            key = entry.id("id")
            if kind == "categories":
                categories[key] = entry.text("name")
            elif key in wanted:
                size = entry.whole("width"), entry.whole("height")
                images[key] = SourceImage(key, entry.text("file_name"), *size)
        return images, categories

    def _entries(self, *kinds: str) -> Iterator[tuple[str, Fields]]:
        """What `instances.json` holds of these lists."""
        for kind, entry in json_entries(self._instances):
            if kind in kinds:
                yield kind, Fields.of(entry, f"{self._instances}: an entry of {kind}")


def _refs_file(folder: Path, split_by: str | None) -> Path:
    there = {
        found[1]: path
        for path in sorted(folder.iterdir())
        if (found := re.fullmatch(r"refs\((.+)\)\.p", path.name))
    }
    if split_by is None:
        split_by = next((who for who in (*SPLIT_BY, *there) if who in there), None)
    if split_by not in there:
        listed = ", ".join(path.name for path in there.values()) or "none"
        raise UsageError(
            f"{folder / f'refs({split_by or SPLIT_BY[0]}).p'}: no such file; of its kind there are {listed}"
        )
    return there[split_by]


def _read_refs(path: Path) -> list[_Ref]:
    refs = read_plain_pickle(path)
    if not isinstance(refs, list):
        raise AnnotationError(f"{path}: a {type(refs).__name__}: expected a list of refs")
    return [_ref(Fields.of(ref, f"{path}: ref {number}")) for number, ref in enumerate(refs)]


def _ref(entry: Fields) -> _Ref:
    sentences = entry.objects("sentences")
    return _Ref(
        annotation=entry.id("ann_id"),
        image=entry.id("image_id"),
        split=entry.text("split"),
        sentences=tuple((sentence.id("sent_id"), sentence.text("sent")) for sentence in sentences),
    )


def _chosen(refs: Sequence[_Ref], wanted: Sequence[str], path: Path) -> tuple[list[_Ref], tuple[str, ...]]:
    there = Counter(ref.split for ref in refs)
    splits = dict.fromkeys(there)
    if wanted:
        splits = dict.fromkeys(name for split in wanted for name in _meant(split, there, path))
    return [ref for ref in refs if ref.split in splits], tuple(splits)


def _meant(split: str, there: Counter[str], path: Path) -> list[str]:
    """`test` is refer's word for all splits that begin so."""
    found = [name for name in there if name == split or (split == "test" and name.startswith(split))]
    if not found:
        listed = ", ".join(f"{name} ({count} refs)" for name, count in there.items())
        raise UsageError(f"{path} has no split {split!r}: there are {listed or 'none'}")
    return found


def _regions(
    ref: _Ref, entry: Fields, images: dict[Id, SourceImage], categories: dict[Id, str]
) -> Iterator[PhraseRegion]:
    if ref.image not in images or entry.id("image_id") != ref.image:
        raise AnnotationError(
            f"{entry.where}: {entry.id('id')!a} is not about a known image {ref.image!a}, as its ref is"
        )
    segmentation: Any = entry.get("segmentation")
    for key, words in ref.sentences:
        yield PhraseRegion(
            id=key,
            image=images[ref.image],
            split=ref.split,
            phrase=words,
            category=categories.get(entry.id("category_id")),
            instances=(segmentation,),
        )
