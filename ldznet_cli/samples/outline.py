"""From a mask to polygons: traced by scikit-image, holes kept by a cut, and what that loses, measured.

Coordinates are COCO's: x, y in pixels, pixel (0, 0) covers the square from (0, 0) to (1, 1).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ldznet_cli.errors import UsageError
from ldznet_cli.samples.polygon import coco_mask

Mask = NDArray[np.bool_]
Ring = NDArray[np.float64]
"""(n, 2): the corners x, y of one polygon, not closed."""

TOLERANCE = 0.4
"""Pixels that a corner may be off the outline (Douglas and Peucker): without it each pixel of an edge is a corner."""


def outlines(mask: Mask, tolerance: float = TOLERANCE) -> list[Ring]:
    """A ring for each connected part (8 neighbours) of the mask (height, width), in reading order.

    A hole is kept by a cut of no width from the outer ring to the hole and back, which any program that fills
    polygons by the even-odd or the non-zero rule understands. Raises UsageError where scikit-image is not installed.
    """
    from scipy import ndimage

    labels, _ = ndimage.label(mask, structure=np.ones((3, 3), dtype=int))
    rings = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        part = np.pad(labels[rows, columns] == number, 1)
        offset = np.array([columns.start - 0.5, rows.start - 0.5])  # 1 of the border less, half a pixel more
        rings.append(_part(part, tolerance) + offset)
    return rings


def redrawn(rings: Sequence[Ring], width: int, height: int) -> Mask:
    """The mask (height, width) that pycocotools makes of the rings."""
    return coco_mask([ring.ravel().tolist() for ring in rings], width, height)


def kept(rings: Sequence[Ring], mask: Mask) -> float:
    """The IoU of the mask and what the rings make of it, in [0, 1]; 1 for an empty mask without rings."""
    again = redrawn(rings, mask.shape[1], mask.shape[0])
    either = int(np.count_nonzero(again | mask))
    return 1.0 if not either else int(np.count_nonzero(again & mask)) / either


def _part(part: Mask, tolerance: float) -> Ring:
    """The outline of one connected part: the ring that encloses most is the outer one, the others are holes."""
    contours = [_simplified(ring, tolerance) for ring in _find_contours(part.astype(np.float32))]
    contours.sort(key=lambda ring: -abs(_area(ring)))
    outer, holes = contours[0], contours[1:]
    for hole in holes:
        outer = _cut(outer, hole)
    return outer


def _find_contours(values: NDArray[np.float32]) -> list[Ring]:
    try:
        from skimage.measure import find_contours
    except ImportError as error:
        raise UsageError(
            "polygons are traced by scikit-image, which is not installed: pip install 'ldznet-cli[polygons]'"
        ) from error
    return [ring[:, ::-1] for ring in find_contours(values, 0.5, fully_connected="high")]


def _simplified(ring: Ring, tolerance: float) -> Ring:
    """Without the corners that may go, and without the last, which is the first; a ring that would vanish stays."""
    from skimage.measure import approximate_polygon

    half = (
        len(ring) // 2
    )  # in two halves: from a closed ring's one end to the other there is no line to be near to
    halves = [approximate_polygon(part, tolerance) for part in (ring[: half + 1], ring[half:])]
    simple: Ring = np.concatenate([halves[0][:-1], halves[1][:-1]])
    return simple if len(simple) >= 4 else ring[:-1]


def _cut(outer: Ring, hole: Ring) -> Ring:
    """One ring: along the outer one to where the two are nearest, around the hole, back, and on."""
    from scipy.spatial import cKDTree

    if (_area(outer) > 0) == (_area(hole) > 0):
        hole = hole[::-1]
    distances, nearest = cKDTree(hole).query(outer)
    start = int(distances.argmin())
    around = np.roll(hole, -int(nearest[start]), axis=0)
    return np.concatenate([outer[: start + 1], around, around[:1], outer[start:]])


def _area(ring: Ring) -> float:
    x, y = ring.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
