"""COCO results: a list with one entry a mask, its segmentation as string RLE, and an index that says what ids mean.

`COCO("coco.index.json").loadRes("coco.json")` opens the two with pycocotools.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ldznet_cli.samples.record import Record

Id = int | str


@dataclass(frozen=True)
class CocoResults:
    """`images` has the id of each image, by its name, `categories` that of each label."""

    images: Mapping[str, Id]
    categories: Mapping[str, Id]
    name: str = "coco"
    files: tuple[str, ...] = ("coco.json", "coco.index.json")

    def encode(self, records: Sequence[Record]) -> Mapping[str, bytes]:
        """An empty mask has its entry too: it was looked for and is not there. Images that failed have none."""
        known = {record.image.name: record.image for record in records if record.image.width is not None}
        index = {
            "images": [
                {"id": key, "file_name": name, "width": known[name].width, "height": known[name].height}
                for name, key in self.images.items()
                if name in known
            ],
            "categories": [{"id": key, "name": label} for label, key in self.categories.items()],
            "annotations": [],
        }
        results = [self._result(record) for record in records if record.error is None]
        lines = ",\n".join(json.dumps(result, sort_keys=True) for result in results)
        return {
            "coco.json": f"[{lines}]\n".encode(),
            "coco.index.json": (json.dumps(index, sort_keys=True) + "\n").encode(),
        }

    def _result(self, record: Record) -> dict[str, Any]:
        return {
            "image_id": self.images[record.image.name],
            "category_id": self.categories[record.label],
            "segmentation": record.rle,
            "bbox": list(record.box or (0, 0, 0, 0)),
            "area": record.area,
            "score": record.score,
            "phrase": record.phrase,
            "file_name": record.image.name,
        }
