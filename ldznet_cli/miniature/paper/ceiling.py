"""How good a map on a coarse grid can be: the IoU that is left of the true masks themselves once they went through it.

Each mask is averaged to the grid and brought back to the image as every map is. No net that answers on that grid knows
more than this; one that sharpened its answers for the way back could do a little better, so it is a mark, not a bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ldznet_cli.metrics.counts import count
from ldznet_cli.metrics.iou import iou
from ldznet_cli.metrics.thresholds import THRESHOLDS
from ldznet_cli.samples.geometry import to_image_size

Mask = NDArray[np.bool_]

ALL = "all"


@dataclass(frozen=True)
class Ceiling:
    """Of one grid, (h, w), and one kind of masks: mIoU in [0, 1] at the one threshold that is best for all of them."""

    grid: tuple[int, int]
    kind: str
    miou: float
    threshold: float
    masks: int


def ceilings(masks: Iterable[tuple[str, Mask]], grids: Sequence[tuple[int, int]]) -> list[Ceiling]:
    """Of each grid, for each kind by name and for "all": `masks` are (kind, bool (H, W)), none of them empty."""
    ious: dict[tuple[tuple[int, int], str], list[NDArray[np.float64]]] = {}
    for kind, mask in masks:
        for grid in grids:
            through = _iou(mask, grid)
            for name in (ALL, kind):
                ious.setdefault((grid, name), []).append(through)
    return [_best(grid, kind, np.stack(rows)) for (grid, kind), rows in ious.items()]


def through(mask: Mask, grid: tuple[int, int]) -> NDArray[np.float32]:
    """The mask (H, W) averaged to the grid (h, w) and brought back, bilinearly: (H, W) in [0, 1]."""
    height, width = grid
    small = Image.fromarray(mask.astype(np.float32)).resize((width, height), Image.Resampling.BOX)
    back = to_image_size(np.asarray(small), mask.shape[1], mask.shape[0])
    return np.asarray(np.clip(back, 0, 1))


def _iou(mask: Mask, grid: tuple[int, int]) -> NDArray[np.float64]:
    """At each threshold."""
    counts = count(through(mask, grid), mask)
    return iou(counts.tp, counts.union, empty=1.0)


def _best(grid: tuple[int, int], kind: str, ious: NDArray[np.float64]) -> Ceiling:
    means = ious.mean(axis=0)
    best = int(means.argmax())
    return Ceiling(grid, kind, float(means[best]), THRESHOLDS[best], len(ious))
