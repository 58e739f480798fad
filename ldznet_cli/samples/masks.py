"""What can be done with a mask: measured, joined, taken apart, and (from the files beside) drawn, packed and stored.

A mask is a bool array (height, width).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ldznet_cli.samples.mask_png import read_mask, read_prob, write_mask, write_prob
from ldznet_cli.samples.polygon import phrasecut_mask, polygon_mask
from ldznet_cli.samples.rle import decode_rle, encode_rle

__all__ = [
    "area",
    "box",
    "components",
    "decode_rle",
    "encode_rle",
    "phrasecut_mask",
    "polygon_mask",
    "read_mask",
    "read_prob",
    "resize_mask",
    "union",
    "write_mask",
    "write_prob",
]

Mask = NDArray[np.bool_]


def area(mask: Mask) -> int:
    """The number of pixels in the mask."""
    return int(np.count_nonzero(mask))


def box(mask: Mask) -> tuple[int, int, int, int] | None:
    """The tight box x, y, width, height of the mask's pixels; None when there are none."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    x, y = int(columns[0]), int(rows[0])
    return x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1


def union(masks: Iterable[Mask], width: int, height: int) -> Mask:
    """All masks' pixels together; an empty mask for none."""
    joined = np.zeros((height, width), dtype=bool)
    for mask in masks:
        joined |= mask
    return joined


def resize_mask(mask: Mask, width: int, height: int) -> Mask:
    """The mask on another grid, aligned as `to_pixels` aligns the image: pixels of which at least half is covered."""
    coverage = Image.fromarray(np.asarray(mask, dtype=np.float32)).resize(
        (width, height), Image.Resampling.BOX
    )
    resized: Mask = np.asarray(coverage) > 0.5 - 1e-6
    return resized


def components(mask: Mask) -> list[Mask]:
    """The connected parts (8 neighbours), largest first, equals in reading order."""
    from scipy import ndimage

    labels, count = ndimage.label(mask, structure=np.ones((3, 3), dtype=int))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    return [labels == number + 1 for number in np.argsort(-sizes, kind="stable")]
