"""COCO results: a list with one entry a mask, its segmentation as string RLE, and an index that says what ids mean.

`COCO("coco.index.json").loadRes("coco.json")` opens the two with pycocotools.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ldznet_cli.samples.atomic import open_atomically, write_atomically
from ldznet_cli.samples.record import Record

Id = int | str


@dataclass(frozen=True)
class CocoResults:
    """`images` has the id of each image, by its name, `categories` that of each label."""

    images: Mapping[str, Id]
    categories: Mapping[str, Id]
    name: str = "coco"
    files: tuple[str, ...] = ("coco.json", "coco.index.json")

    def write(self, out: Path, records: Iterable[Record]) -> None:
        """An empty mask has its entry too: it was looked for and is not there. Images that failed have none."""
        sizes: dict[str, tuple[int, int]] = {}
        with open_atomically(out / self.files[0]) as file:
            between = b"["
            for record in records:
                if record.image.width is not None and record.image.height is not None:
                    sizes[record.image.name] = (record.image.width, record.image.height)
                if record.error is None:
                    file.write(between + json.dumps(self._result(record), sort_keys=True).encode())
                    between = b",\n"
            file.write(b"]\n" if between != b"[" else b"[]\n")
        index = {
            "images": [
                {"id": key, "file_name": name, "width": sizes[name][0], "height": sizes[name][1]}
                for name, key in self.images.items()
                if name in sizes
            ],
            "categories": [{"id": key, "name": label} for label, key in self.categories.items()],
            "annotations": [],
        }
        write_atomically(out / self.files[1], (json.dumps(index, sort_keys=True) + "\n").encode())

    def _result(self, record: Record) -> dict[str, Any]:
        """Without `bbox`: where results have one, pycocotools takes them for boxes, and a mask's area for the box's."""
        return {
            "image_id": self.images[record.image.name],
            "category_id": self.categories[record.label],
            "segmentation": record.rle,
            "area": record.area,
            "score": record.score,
            "phrase": record.phrase,
            "file_name": record.image.name,
        }
