"""Polygons around masks, drawn again by pycocotools and by Pillow."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw
from scipy import ndimage

from ldznet_cli.errors import UsageError
from ldznet_cli.samples.outline import kept, outlines, redrawn


def disc(side: int, *radii: float) -> np.ndarray:
    """True between radii, ring after ring."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    far = np.hypot(x, y)
    return np.sum([far <= radius for radius in radii], axis=0) % 2 == 1


def test_a_rectangle_has_few_corners_and_comes_back_whole() -> None:
    mask = np.zeros((20, 30), dtype=bool)
    mask[4:15, 6:25] = True
    (ring,) = outlines(mask)
    assert len(ring) <= 8
    assert (ring.min(axis=0).tolist(), ring.max(axis=0).tolist()) == ([6, 4], [25, 15])
    assert kept([ring], mask) == 1


def test_a_hole_is_kept() -> None:
    mask = disc(60, 25, 10)
    (ring,) = outlines(mask)
    again = redrawn([ring], 60, 60)
    assert not again[30, 30]
    assert kept([ring], mask) > 0.97
    # and by a program of another kind: Pillow fills by the even-odd rule, the corners being pixels' centres
    canvas = Image.new("1", (60, 60))
    ImageDraw.Draw(canvas).polygon([(x - 0.5, y - 0.5) for x, y in ring], fill=1)
    drawn = np.asarray(canvas)
    assert not drawn[30, 30]
    assert (drawn & mask).sum() / (drawn | mask).sum() > 0.9


def test_several_holes_and_an_island_in_one() -> None:
    mask = disc(90, 40, 30, 8)
    mask[10:80, 43:47] |= disc(90, 40)[10:80, 43:47]
    mask[5:9, 5:9] = True
    rings = outlines(mask)
    assert len(rings) == ndimage.label(mask, np.ones((3, 3)))[1]
    assert kept(rings, mask) > 0.96


def test_each_connected_part_has_its_ring() -> None:
    mask = np.zeros((9, 9), dtype=bool)
    mask[0, 0] = mask[1, 1] = mask[5:8, 2:5] = True
    first, second = outlines(mask)
    assert first.max() <= 2
    assert second.min(axis=0).tolist() == [2, 5]
    assert kept([first, second], mask) == 1


def test_nothing_has_no_outline() -> None:
    empty = np.zeros((4, 5), dtype=bool)
    assert outlines(empty) == []
    assert kept([], empty) == 1
    assert kept([], ~empty) == 0


def test_a_mask_up_to_the_border() -> None:
    full = np.ones((6, 8), dtype=bool)
    (ring,) = outlines(full)
    assert (ring.min(), ring[:, 0].max(), ring[:, 1].max()) == (0, 8, 6)
    assert kept([ring], full) == 1


@given(arrays(bool, st.tuples(st.integers(1, 14), st.integers(1, 14))))
def test_without_tolerance_nothing_is_lost(mask: np.ndarray) -> None:
    rings = outlines(mask, tolerance=0)
    assert len(rings) == ndimage.label(mask, np.ones((3, 3)))[1]
    assert kept(rings, mask) == 1
    assert all((ring >= 0).all() and (ring <= mask.shape[::-1]).all() for ring in rings)


def test_where_there_is_no_tracer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.measure", None)
    with pytest.raises(UsageError, match=r"ldznet-cli\[polygons\]"):
        outlines(np.ones((3, 3), dtype=bool))
