"""What can be done with a mask: measured, joined, and (from the files beside) packed and stored.

A mask is a bool array (height, width).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ldznet_cli.samples.mask_png import read_mask, read_prob, write_mask, write_prob
from ldznet_cli.samples.rle import decode_rle, encode_rle

__all__ = [
    "area",
    "box",
    "decode_rle",
    "encode_rle",
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
