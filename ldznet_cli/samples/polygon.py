"""Polygons become masks, in the three conventions that segmentation papers score with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ldznet_cli.samples.rle import decode_rle

Mask = NDArray[np.bool_]
Points = NDArray[np.float64]
Index = NDArray[np.int64]

Ring = Sequence[float]
"""x0, y0, x1, y1, …: the corners of one polygon in pixels, as COCO stores them. Closed by itself."""


def polygon_mask(rings: Sequence[Ring], width: int, height: int) -> Mask:
    """The union of polygons, (height, width), in the convention of scikit-image's polygon2mask.

    A pixel is the point (x, y) with whole coordinates; it belongs to the polygon when it lies inside by the even-odd
    rule, on an edge, or on a corner. (The test is O'Rourke's, "Computational Geometry in C", section 7.4: a ray to
    the right and one to the left, each crossing half-open edges; on the boundary the two disagree.)
    """
    mask = np.zeros((height, width), dtype=bool)
    for ring in rings:
        mask |= _filled(_points(ring), width, height)
    return mask


def phrasecut_mask(rings: Sequence[Ring], width: int, height: int) -> Mask:
    """The union of polygons as PhraseCut's own evaluator draws it: whole corners (truncated), with outline."""
    canvas = Image.new("1", (width, height))
    draw = ImageDraw.Draw(canvas)
    for ring in rings:
        corners = [(int(x), int(y)) for x, y in _points(ring)]
        if len(corners) > 1:
            draw.polygon(corners, fill=1, outline=1)
    return np.array(canvas, dtype=bool)


def coco_mask(rings: Sequence[Ring], width: int, height: int) -> Mask:
    """The union of polygons as pycocotools draws it: COCO's own, and so RefCOCO's."""
    from pycocotools import mask as coco

    corners = [list(ring) for ring in rings if len(ring) >= 6]  # fewer would be taken for a box
    if not corners:
        return np.zeros((height, width), dtype=bool)
    drawn = coco.merge(coco.frPyObjects(corners, height, width))
    return decode_rle(drawn["counts"].decode(), height, width)


def _points(ring: Ring) -> Points:
    return np.asarray(ring, dtype=np.float64).reshape(-1, 2)


def _filled(points: Points, width: int, height: int) -> Mask:
    mask = np.zeros((height, width), dtype=bool)
    x0, y0 = np.maximum(np.floor(points.min(axis=0)), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(points.max(axis=0)), (width - 1, height - 1)).astype(int)
    if x0 <= x1 and y0 <= y1:
        columns, rows = np.arange(x0, x1 + 1), np.arange(y0, y1 + 1)
        edge, row = _edges_at(points, rows)
        odd_right = _odd(points, edge, row, columns, rows, rightward=True)
        odd_left = _odd(points, edge, row, columns, rows, rightward=False)
        mask[y0 : y1 + 1, x0 : x1 + 1] = odd_right | odd_left
    _set_corners(mask, points)
    return mask


def _edges_at(points: Points, rows: Index) -> tuple[Index, Index]:
    """All pairs of an edge (by its end's index) and a row that it meets."""
    ends = points[:, 1]
    starts = np.roll(ends, 1)
    first = np.maximum(np.ceil(np.minimum(starts, ends)), rows[0]).astype(np.int64)
    last = np.minimum(np.floor(np.maximum(starts, ends)), rows[-1]).astype(np.int64)
    counts = np.maximum(last - first + 1, 0)
    edge = np.repeat(np.arange(len(points)), counts)
    place = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
    return edge, first[edge] + place


def _odd(points: Points, edge: Index, row: Index, columns: Index, rows: Index, *, rightward: bool) -> Mask:
    """Which pixels' rays cross the outline an odd number of times.

    A crossing at x counts for all pixels before it (rays to the right) or after it (to the left), never at x itself.
    """
    (xa, ya), (xb, yb) = points[edge - 1].T, points[edge].T
    crosses = ((ya > row) != (yb > row)) if rightward else ((ya < row) != (yb < row))
    xa, ya, xb, yb, row = (values[crosses] for values in (xa, ya, xb, yb, row))
    ya, yb = ya - row, yb - row
    nearest = np.rint(xa - ya * (xb - xa) / (yb - ya))
    offset = ((xa - nearest) * yb - (xb - nearest) * ya) / (yb - ya)  # of the crossing from the nearest pixel
    change = nearest + (offset > 0 if rightward else offset >= 0)  # the first pixel after the last one before
    steps = np.zeros((len(rows), len(columns) + 1), dtype=np.int32)
    np.add.at(steps, (row - rows[0], np.clip(change - columns[0], 0, len(columns)).astype(np.int64)), 1)
    passed = np.cumsum(steps, axis=1, dtype=np.int32)
    counts = passed[:, -1:] - passed if rightward else passed
    odd: Mask = counts[:, :-1] % 2 == 1
    return odd


def _set_corners(mask: Mask, points: Points) -> None:
    x, y = points[(points == np.rint(points)).all(axis=1)].astype(np.int64).T
    inside = (x >= 0) & (x < mask.shape[1]) & (y >= 0) & (y < mask.shape[0])
    mask[y[inside], x[inside]] = True
