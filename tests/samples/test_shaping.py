"""Shapes of masks, by hand and by their properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ldznet_cli.samples.masks import area
from ldznet_cli.samples.shaping import Shaping, faded, filled, grown, without_specks

masks = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))
pixels = st.integers(1, 6)


def drawn(*rows: str) -> np.ndarray:
    return np.array([[letter == "#" for letter in row] for row in rows])


def test_a_hole_is_filled_and_a_bay_is_not() -> None:
    ring = drawn("#####", "#.#.#", "#####", ".....")
    assert filled(ring).tolist() == drawn("#####", "#####", "#####", ".....").tolist()
    bay = drawn("#.#", "#.#", "###")
    assert filled(bay).tolist() == bay.tolist()


def test_a_hole_that_opens_over_a_corner_only_is_one() -> None:
    """Parts are connected over corners, so holes are not."""
    assert filled(drawn(".#.", "#.#", ".#."))[1, 1]


def test_specks_go() -> None:
    mask = drawn("##..#", "##...", "....#", "#..#.")
    assert without_specks(mask, 2).tolist() == drawn("##...", "##...", "....#", "...#.").tolist()
    assert not without_specks(mask, 5).any()
    assert without_specks(mask, 1).tolist() == mask.tolist()


def test_growing_is_round() -> None:
    mask = np.zeros((7, 7), dtype=bool)
    mask[3, 3] = True
    assert (
        grown(mask, 1).tolist()
        == drawn(*[".......", ".......", "...#...", "..###..", "...#..."], *["......."] * 2).tolist()
    )
    y, x = np.mgrid[-3:4, -3:4]
    assert grown(mask, 3).tolist() == (x * x + y * y <= 9).tolist()


def test_a_fading_edge_by_hand() -> None:
    mask = np.array([[True] * 4 + [False] * 4])
    assert faded(mask, 2).tolist() == [[255, 255, 223, 159, 96, 32, 0, 0]]
    assert faded(np.ones((2, 2), dtype=bool), 3).tolist() == [[255, 255]] * 2
    assert faded(np.zeros((2, 2), dtype=bool), 3).tolist() == [[0, 0]] * 2


@given(masks, pixels)
def test_growing_never_takes_away_and_steps_add_up_to_no_more(mask: np.ndarray, by: int) -> None:
    larger = grown(mask, by)
    assert (larger | mask).tolist() == larger.tolist()
    assert (grown(grown(mask, 1), by) <= grown(mask, by + 1)).all()


@given(masks, st.integers(0, 9), pixels)
def test_dropping_specks_is_done_once(mask: np.ndarray, least: int, by: int) -> None:
    left = without_specks(mask, least)
    assert (left <= mask).all()
    assert without_specks(left, least).tolist() == left.tolist()
    assert (without_specks(mask, least + by) <= left).all()


@given(masks)
def test_filling_is_done_once_and_leaves_the_outside(mask: np.ndarray) -> None:
    whole = filled(mask)
    assert (mask <= whole).all()
    assert filled(whole).tolist() == whole.tolist()
    edge = np.ones_like(mask)
    edge[1:-1, 1:-1] = False
    assert whole[edge].tolist() == mask[edge].tolist()


@given(masks, st.integers(0, 9))
def test_half_of_a_faded_mask_is_the_mask(mask: np.ndarray, feather: int) -> None:
    alpha = Shaping(feather=feather).alpha(mask)
    assert ((alpha >= 128) == mask).all()
    assert alpha.dtype == np.uint8


@given(masks, pixels)
def test_a_fading_edge_ends_where_it_was_said_to(mask: np.ndarray, feather: int) -> None:
    alpha = faded(mask, feather)
    assert not alpha[~grown(mask, feather + 1)].any()
    assert (alpha[~grown(~mask, feather + 1)] == 255).all()


@given(masks, st.booleans(), st.integers(0, 4), st.integers(0, 3))
def test_inverting_twice_is_nothing(mask: np.ndarray, fill: bool, least: int, pad: int) -> None:
    plain, inverted = (Shaping(fill, least, pad, invert).mask(mask) for invert in (False, True))
    assert (plain == ~inverted).all()


@given(masks)
def test_nothing_asked_is_nothing_done(mask: np.ndarray) -> None:
    assert Shaping().mask(mask).tolist() == mask.tolist()


@pytest.mark.parametrize("shape", [Shaping(True, 9, 5, False, 4), Shaping(pad=3), Shaping(feather=3)])
def test_an_empty_mask_stays_empty(shape: Shaping) -> None:
    empty = np.zeros((5, 4), dtype=bool)
    assert area(shape.mask(empty)) == 0
    assert not shape.alpha(empty).any()
