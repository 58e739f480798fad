"""The gallery: what `ldznet segment` wrote, images × prompts, as one HTML file to look through."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from heapq import nsmallest
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ldznet_cli.errors import AnnotationError, ImageError
from ldznet_cli.evaluation.records import located, recorded_mask
from ldznet_cli.reporting.page import data_uri, jpeg_uri, page
from ldznet_cli.samples.masks import read_prob
from ldznet_cli.samples.reading import ImageReader, ref_of
from ldznet_cli.samples.record import Record

Grid = NDArray[np.float32]
Mask = NDArray[np.bool_]

GRID_SIDE = 192
"""Pixels of a mask's, a truth's and a probability map's longer side: enough for a picture of a few hundred."""


@dataclass(frozen=True)
class Exhibit:
    """One record; `iou` and `truth` (bool, the image's size) where a ground truth tells."""

    record: Record
    iou: float | None = None
    truth: Mask | None = None


def gallery(
    exhibits: Iterable[Exhibit], folder: Path, *, title: str, about: str, thumbnail: int = 320
) -> str:
    """The page, with everything in it: pictures of at most `thumbnail` pixels, masks and probabilities as 8-bit maps.

    Files are found where records say, or in the records' `folder`. A record whose files cannot be read is shown with
    the reason; a picture that is not there is left empty.
    """
    images: list[dict[str, Any]] = []
    places: dict[str, int] = {}
    items = []
    reader = ImageReader()
    for exhibit in exhibits:
        record = exhibit.record
        key = f"{record.image.sha256} {record.image.name}"
        if key not in places:
            places[key] = len(images)
            images.append({"name": record.image.name, "source": _picture(reader, record, folder, thumbnail)})
        items.append({"image": places[key], **_item(exhibit, folder)})
    reader.close()
    scored = any(item["iou"] is not None for item in items)
    return page(
        "gallery.html", title=title, about=about, scored=scored, data={"images": images, "items": items}
    )


def worst(exhibits: Iterable[Exhibit], count: int) -> list[Exhibit]:
    """The `count` with the lowest IoU, those without one last, in the order they came in; no others are kept."""
    kept = nsmallest(count, enumerate(exhibits), key=lambda placed: _rank(placed[1]))
    return [exhibit for _, exhibit in sorted(kept, key=lambda placed: placed[0])]


def _rank(exhibit: Exhibit) -> float:
    return 2.0 if exhibit.iou is None else exhibit.iou


def _item(exhibit: Exhibit, folder: Path) -> dict[str, Any]:
    record, image = exhibit.record, exhibit.record.image
    pixels = (image.width or 0) * (image.height or 0)
    item: dict[str, Any] = {
        "phrase": record.phrase,
        "label": record.label,
        "score": record.score,
        "iou": exhibit.iou,
        "area": record.area / pixels if record.area is not None and pixels else None,
        "error": record.error,
        "mask": None,
        "prob": None,
        "truth": None if exhibit.truth is None else _map_uri(exhibit.truth),
    }
    if record.error is None:
        try:
            item |= _maps(record, folder)
        except (ImageError, AnnotationError) as error:
            item["error"] = str(error)
    return item


def _maps(record: Record, folder: Path) -> dict[str, Any]:
    """The mask as it was made, and the probabilities where they were kept; and the size to draw them at alone."""
    prob = None if record.prob is None else read_prob(located(record.prob, folder))
    mask = _mask(record, folder, prob)
    height, width = mask.shape
    return {
        "mask": _map_uri(mask),
        "prob": None if prob is None else _map_uri(prob),
        "width": min(width, GRID_SIDE),
        "height": max(1, round(height * min(1, GRID_SIDE / width))),
    }


def _mask(record: Record, folder: Path, prob: Grid | None) -> Mask:
    if record.mask is None and record.rle is None and prob is not None and record.threshold is not None:
        return np.asarray(prob > record.threshold)
    return recorded_mask(record, folder)


def _picture(reader: ImageReader, record: Record, folder: Path, longest: int) -> str | None:
    """The image itself; None where it is not on this machine any more."""
    try:
        ref = replace(ref_of(record), path=located(record.image.path, folder))
        return jpeg_uri(reader.read(ref), longest)
    except ImageError:
        return None


def _map_uri(values: Grid | Mask) -> str:
    """An 8-bit grey PNG, round(255 * p), with its longer side at most `GRID_SIDE`; masks become shares of pixels."""
    picture = Image.fromarray(np.asarray(values, dtype=np.float32))
    scale = min(1.0, GRID_SIDE / max(picture.size))
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    small = np.asarray(picture.resize(size, Image.Resampling.BOX), dtype=np.float32)
    buffer = BytesIO()
    Image.fromarray(np.rint(small * 255).clip(0, 255).astype(np.uint8)).save(buffer, "PNG", optimize=True)
    return data_uri(buffer.getvalue(), "image/png")
