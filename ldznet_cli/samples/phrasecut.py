"""PhraseCut (Wu et al., CVPR 2020), as its own download script lays it out (ChenyunWu/PhraseCutDataset: README.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ldznet_cli.errors import AnnotationError, UsageError
from ldznet_cli.samples.fields import Fields, Id
from ldznet_cli.samples.json_stream import json_entries
from ldznet_cli.samples.phrase_regions import PhraseRegion, SourceImage

SPLITS = ("train", "val", "test", "miniv")
"""Apart from each other; `miniv` are 100 images of the validation set for a quick look."""

BAD_IMAGES = frozenset(
    {
        *(61530, 61564, 150333, 150344, 150417, 150516, 285665, 285743, 285761),
        *(285814, 286065, 286093, 498010, 498042, 498187, 498246, 498269),
    }
)
"""Images whose annotated size is not the file's; CLIPSeg and LD-ZNet leave them out (timojl/clipseg:
datasets/phrasecut.py), and so their phrases do not count."""

_IMAGES = ("image_data_split.json", "image_data_split3000.json")
"""The list of images, under the name that the script gives it and under the one that the download has."""


class PhraseCut:
    """The tasks (phrase-region pairs) of the folder `VGPhraseCut_v0`, all splits that are there or the ones named."""

    def __init__(self, folder: Path, splits: Sequence[str] = ()) -> None:
        self._folder = folder
        self._list = _image_list(folder)
        self.splits = _splits(folder, splits)
        self.files = (self._list, *(folder / _refer(split) for split in self.splits))
        self.left_out: Counter[str] = Counter()
        self.description = f"PhraseCut, {', '.join(self.splits)}"

    def __iter__(self) -> Iterator[PhraseRegion]:
        images = self._images()
        bad: set[Id] = set()
        for split in self.splits:
            path = self._folder / _refer(split)
            for number, (_, task) in enumerate(json_entries(path)):
                region = _region(Fields.of(task, f"{path}: task {number}"), images, split)
                if region.image.id in BAD_IMAGES:
                    bad.add(region.image.id)
                    self.left_out["phrases of images whose annotated size is wrong"] += 1
                else:
                    yield region
        if bad:
            self.left_out["images whose annotated size is wrong"] = len(bad)

    def _images(self) -> dict[Id, SourceImage]:
        """The images of the splits. `width` and `height` are the annotations'."""
        found: dict[Id, SourceImage] = {}
        for number, (_, entry) in enumerate(json_entries(self._list)):
            image = Fields.of(entry, f"{self._list}: image {number}")
            if image.text("split") in self.splits:
                key = image.whole("image_id")
                found[key] = SourceImage(key, f"{key}.jpg", image.whole("width"), image.whole("height"))
        return found


def _image_list(folder: Path) -> Path:
    for name in _IMAGES:
        if (folder / name).is_file():
            return folder / name
    raise UsageError(
        f"{folder}: no {_IMAGES[0]} in it: expected PhraseCut's folder VGPhraseCut_v0, as its "
        "download_dataset.py makes it"
    )


def _splits(folder: Path, wanted: Sequence[str]) -> tuple[str, ...]:
    there = [split for split in SPLITS if (folder / _refer(split)).is_file()]
    listed = f"in {folder} there are {', '.join(there) or 'none'}"
    for split in wanted:
        if split not in SPLITS:
            raise UsageError(
                f"PhraseCut has no split {split!r}: its splits are {', '.join(SPLITS)}; {listed}"
            )
        if split not in there:
            raise UsageError(f"{folder / _refer(split)}: no such file; {listed}")
    if not there:
        raise UsageError(f"{folder}: no refer_<split>.json in it, for any split of {', '.join(SPLITS)}")
    return tuple(dict.fromkeys(wanted)) or tuple(there)


def _refer(split: str) -> str:
    return f"refer_{split}.json"


def _region(task: Fields, images: dict[Id, SourceImage], split: str) -> PhraseRegion:
    image = images.get(task.whole("image_id"))
    if image is None:
        raise AnnotationError(
            f"{task.where}: image_id {task.get('image_id')} is not among the split's images"
        )
    structure = task.object("phrase_structure") if task.has("phrase_structure") else Fields({}, task.where)
    if not task.has("Polygons"):
        raise AnnotationError(f"{task.where}: no Polygons: refer_<split>.json is needed, not refer_input_…")
    return PhraseRegion(
        id=task.id("task_id"),
        image=image,
        split=split,
        phrase=task.text("phrase"),
        category=structure.text_or_none("name") or None,
        instances=tuple(_instance(instance, task) for instance in _list(task.get("Polygons"), task)),
    )


def _instance(value: Any, task: Fields) -> list[list[float]]:
    """[[[x, y], …], …] → [[x, y, …], …]; polygons without a point are nothing."""
    return [
        [side for point in _list(ring, task) for side in _point(point, task)]
        for ring in _list(value, task)
        if ring
    ]


def _point(value: Any, task: Fields) -> Sequence[float]:
    if not isinstance(value, list) or len(value) != 2:
        raise task.wrong("Polygons", "a list of [x, y] for each polygon of each instance")
    return value


def _list(value: Any, task: Fields) -> list[Any]:
    if not isinstance(value, list):
        raise task.wrong("Polygons", "a list of [x, y] for each polygon of each instance")
    return value
