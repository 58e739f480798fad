from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from ldznet_cli.samples.polygon import coco_mask, phrasecut_mask, polygon_mask

corner = st.one_of(
    st.integers(-6, 20).map(float), st.floats(-6, 20, width=16), st.integers(-12, 40).map(lambda n: n / 2)
)
rings = st.lists(st.tuples(corner, corner), min_size=1, max_size=8).map(lambda p: [v for xy in p for v in xy])


def text(mask: np.ndarray) -> list[str]:
    return ["".join("#" if on else "." for on in row) for row in mask]


def test_edges_and_corners_belong_to_the_polygon() -> None:
    assert text(polygon_mask([[1, 1, 3, 1, 3, 2, 1, 2]], 5, 4)) == [".....", ".###.", ".###.", "....."]
    assert text(polygon_mask([[0, 0, 3, 0, 0, 3]], 4, 4)) == ["####", "###.", "##..", "#..."]


def test_between_pixel_centres_lies_nothing() -> None:
    assert not polygon_mask([[1.1, 1.1, 1.9, 1.1, 1.9, 1.9, 1.1, 1.9]], 4, 4).any()


def test_a_ring_in_itself_is_even_odd_and_rings_are_joined() -> None:
    outer, inner = [0, 0, 6, 0, 6, 6, 0, 6], [2, 2, 4, 2, 4, 4, 2, 4]
    hole = polygon_mask([[*outer, 0, 0, *inner, 2, 2]], 7, 7)
    assert not hole[3, 3]
    assert hole[1, 1]
    assert polygon_mask([outer, inner], 7, 7).all()


def brute(ring: list[float], width: int, height: int) -> np.ndarray:
    """Pixel by pixel, edge by edge: what the vectorised one has to equal."""
    mask = np.zeros((height, width), dtype=bool)
    points = list(zip(ring[::2], ring[1::2], strict=True))
    for y in range(height):
        for x in range(width):
            right = left = 0
            for (xa, ya), (xb, yb) in zip([points[-1], *points[:-1]], points, strict=True):
                xa, ya, xb, yb = xa - x, ya - y, xb - x, yb - y
                right += (ya > 0) != (yb > 0) and (xa * yb - xb * ya) / (yb - ya) > 0
                left += (ya < 0) != (yb < 0) and (xa * yb - xb * ya) / (yb - ya) < 0
            mask[y, x] = right % 2 == 1 or left % 2 == 1 or (x, y) in points
    return mask


@settings(max_examples=150)
@given(rings, st.integers(1, 16), st.integers(1, 16))
def test_equal_to_the_definition(ring: list[float], width: int, height: int) -> None:
    np.testing.assert_array_equal(polygon_mask([ring], width, height), brute(ring, width, height))


@settings(max_examples=300)
@given(rings, st.integers(1, 24), st.integers(1, 24))
def test_equal_to_scikit_image(ring: list[float], width: int, height: int) -> None:
    draw = pytest.importorskip("skimage.draw", reason="scikit-image is not installed")
    points = np.reshape(ring, (-1, 2))[:, ::-1]
    np.testing.assert_array_equal(
        polygon_mask([ring], width, height), draw.polygon2mask((height, width), points)
    )


def test_phrasecut_truncates_corners_and_draws_the_outline() -> None:
    assert text(phrasecut_mask([[1.9, 1.9, 3.9, 1.9, 3.9, 2.9, 1.9, 2.9]], 6, 5)) == [
        *["......", ".###..", ".###..", "......", "......"]
    ]
    canvas = Image.new("L", (20, 20))
    ImageDraw.Draw(canvas).polygon([(2, 3), (15, 5), (7, 18)], fill=1, outline=1)
    np.testing.assert_array_equal(
        phrasecut_mask([[2.7, 3.2, 15.1, 5.9, 7.5, 18.0]], 20, 20), np.array(canvas) == 1
    )


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=3, max_size=6))
def test_phrasecut_is_the_fatter_of_the_two(points: list[tuple[int, int]]) -> None:
    """For whole corners of a convex polygon."""
    (x0, y0), (x1, y1) = points[0], points[1]
    ring = [x0, y0, x1, y0, x1, y1, x0, y1]
    thin, fat = polygon_mask([ring], 21, 21), phrasecut_mask([ring], 21, 21)
    assert not (thin & ~fat).any()


def test_polygons_outside_and_degenerate_ones() -> None:
    for ring in ([50, 50, 60, 50, 60, 60], [-9, -9, -5, -9, -5, -5], [1e6, 1, 1e6, 2, 2e6, 3]):
        assert not polygon_mask([ring], 8, 8).any()
    assert polygon_mask([[-99, -99, 99, -99, 99, 99, -99, 99]], 8, 8).all()
    assert polygon_mask([[3, 3]], 8, 8).sum() == 1
    assert phrasecut_mask([[3, 3]], 8, 8).sum() == 0
    assert not polygon_mask([], 8, 8).any()


def test_coco_s_polygons_are_areas_and_not_points() -> None:
    """(10, 10) to (20, 20) are ten pixels, where points on edges belong to the polygon they are eleven."""
    ring = [10, 10, 20, 10, 20, 20, 10, 20]
    assert coco_mask([ring], 32, 32).sum() == 100
    assert polygon_mask([ring], 32, 32).sum() == 121
    assert coco_mask([ring, [0, 0, 4, 0, 4, 2, 0, 2]], 32, 32).sum() == 108
    assert not coco_mask([[3, 3, 9, 9]], 32, 32).any()
    assert coco_mask([], 5, 4).shape == (4, 5)
