"""What an annotation's `segmentation` holds, kept as it is until a mask is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ldznet_cli.errors import AnnotationError
from ldznet_cli.samples.fields import Fields
from ldznet_cli.samples.polygon import coco_mask, phrasecut_mask, polygon_mask
from ldznet_cli.samples.rle import compress, decode_rle, foreground, read_counts

Mask = NDArray[np.bool_]

Convention = Literal["polygon2mask", "phrasecut", "coco"]
"""How polygons are filled: scikit-image's way (most papers), PhraseCut's own evaluator's, or pycocotools's. RLE has one
reading."""

_DRAW = {"polygon2mask": polygon_mask, "phrasecut": phrasecut_mask, "coco": coco_mask}

_FARTHEST = 1e7
"""Pixels. No corner of a polygon lies that far off; float arithmetic is exact enough up to there."""


@dataclass(frozen=True)
class Polygons:
    """The union of closed polygons, each x0, y0, x1, y1, … in pixels. None at all: the phrase is not in the image."""

    rings: tuple[tuple[float, ...], ...]

    @property
    def empty(self) -> bool:
        return not self.rings

    def mask(self, width: int, height: int, convention: Convention = "polygon2mask") -> Mask:
        return _DRAW[convention](self.rings, width, height)


@dataclass(frozen=True)
class Rle:
    """COCO's compressed run lengths of a mask (height, width)."""

    counts: str

    @property
    def empty(self) -> bool:
        return not foreground(self.counts)

    def mask(self, width: int, height: int, convention: Convention = "polygon2mask") -> Mask:  # noqa: ARG002
        return decode_rle(self.counts, height, width)


Segmentation = Polygons | Rle


def read_segmentation(value: Any, width: int, height: int) -> Segmentation:
    """The `segmentation` field of a COCO annotation, checked but not drawn. Raises AnnotationError."""
    if isinstance(value, dict):
        return _read_rle(Fields(value, "segmentation"), width, height)
    if isinstance(value, list):
        return Polygons(tuple(map(_read_ring, value)))
    raise AnnotationError(
        f"segmentation is {ascii(value)[:40]}: expected a list of polygons or an RLE object"
    )


def _read_rle(data: Fields, width: int, height: int) -> Rle:
    size = data.wholes("size", 2)
    if size != (height, width):
        raise AnnotationError(
            f"RLE size is {list(size)}: expected the image's [height, width], {[height, width]}"
        )
    counts = data.get("counts")
    if isinstance(counts, str):
        read_counts(counts, height, width)
        return Rle(counts)
    if isinstance(counts, list):
        return Rle(compress(counts, height, width))
    raise data.wrong("counts", "a string or a list of run lengths")


def _read_ring(value: Any) -> tuple[float, ...]:
    if not isinstance(value, list) or not value or len(value) % 2:
        found = f"{len(value)} numbers" if isinstance(value, list) else ascii(value)[:40]
        raise AnnotationError(f"a polygon is {found}: expected a list x0, y0, x1, y1, … for each polygon")
    if not all(type(number) in (int, float) and abs(number) <= _FARTHEST for number in value):
        raise AnnotationError("a polygon holds something that is not a pixel coordinate")
    return tuple(map(float, value))
