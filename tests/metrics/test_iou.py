"""IoU in its variants, on numbers that can be checked by eye."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldznet_cli.metrics import IouTally, iou, smoothed_iou


def test_smoothed_iou_is_never_quite_one() -> None:
    np.testing.assert_allclose(smoothed_iou([6, 8, 0], [2, 0, 0], [2, 0, 0]), [6 / 11, 8 / 9, 0])


@pytest.mark.parametrize("empty", [0.0, 1.0])
def test_nothing_against_nothing(empty: float) -> None:
    np.testing.assert_array_equal(iou([0, 0, 3], [0, 5, 4], empty), [empty, 0, 0.75])


def add(tally: IouTally, *pairs: tuple[int, int]) -> IouTally:
    for intersection, union in pairs:
        tally.update(np.array([intersection]), np.array([union]))
    return tally


def test_a_tally() -> None:
    tally = add(IouTally((0.5, 0.7), empty=1.0, strict=False), (5, 10), (8, 10), (0, 0))
    assert tally.samples == 3
    assert tally.mean[0] == pytest.approx((0.5 + 0.8 + 1) / 3)
    assert tally.overall[0] == pytest.approx(13 / 20)
    np.testing.assert_allclose(tally.beyond[:, 0], [1, 2 / 3])


def test_strictly_beyond_a_cutoff() -> None:
    strict = add(IouTally((0.5,), empty=0.0, strict=True), (5, 10), (8, 10))
    assert strict.beyond[0, 0] == 0.5


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2), st.data())
def test_merged_is_together(pairs: list[tuple[int, int]], data: st.DataObject) -> None:
    pairs = [(min(pair), max(pair)) for pair in pairs]
    cut = data.draw(st.integers(1, len(pairs) - 1))

    def new() -> IouTally:
        return IouTally((0.5, 0.9), empty=1.0, strict=False)

    left, right, whole = add(new(), *pairs[:cut]), add(new(), *pairs[cut:]), add(new(), *pairs)
    right.merge(left)
    np.testing.assert_allclose(right.mean, whole.mean)
    np.testing.assert_array_equal(right.overall, whole.overall)
    np.testing.assert_array_equal(right.beyond, whole.beyond)
    assert (whole.mean <= 1).all()
    assert (whole.beyond[0] >= whole.beyond[1]).all()


def test_only_one_definition_can_be_merged() -> None:
    with pytest.raises(ValueError, match="one definition"):
        IouTally((0.5,), empty=0.0, strict=True).merge(IouTally((0.5,), empty=1.0, strict=True))
