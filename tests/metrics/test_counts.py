"""Counts at all thresholds equal the ones that come of comparing the map with each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldznet_cli.metrics import THRESHOLDS, count
from ldznet_cli.metrics.counts import count_mask
from tests.metrics.cases import GUESS, HALF, random_case


def compared(prob: np.ndarray, mask: np.ndarray, ignore: np.ndarray) -> np.ndarray:
    """(tp, fp, fn, tn) at each threshold."""
    rows = []
    for t in THRESHOLDS:
        b = prob > t
        rows.append([(x & ~ignore).sum() for x in (b & mask, b & ~mask, ~b & mask, ~b & ~mask)])
    return np.array(rows).T


def test_four_by_four() -> None:
    counts = count(GUESS, HALF)
    at = {
        t: tuple(int(n) for n in vars(counts.at(THRESHOLDS.index(t))).values())
        for t in (0.02, 0.38, 0.4, 0.88, 0.9)
    }
    assert at == {
        0.02: (6, 2, 2, 6),
        0.38: (6, 2, 2, 6),
        0.4: (4, 0, 4, 8),  # 0.4 is not above 0.4
        0.88: (4, 0, 4, 8),
        0.9: (0, 0, 8, 8),
    }


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 30))
def test_as_the_loop_has_it(seed: int, height: int, width: int) -> None:
    case = random_case(seed, (height, width))
    counts = count(case.prob, case.mask, case.ignore)
    found = np.stack([counts.tp, counts.fp, counts.fn, counts.tn])
    np.testing.assert_array_equal(found, compared(case.prob, case.mask, case.ignore))
    assert found.dtype == np.int64


def test_a_map_of_float32_as_the_benchmark_has_it() -> None:
    random = np.random.default_rng(0)
    prob, mask = random.random((384, 384), dtype=np.float32), random.random((384, 384)) < 0.3
    counts, none = count(prob, mask), np.zeros_like(mask)
    np.testing.assert_array_equal(
        np.stack([counts.tp, counts.fp, counts.fn, counts.tn]), compared(prob, mask, none)
    )


def test_arrays_that_do_not_lie_in_order_in_memory() -> None:
    case = random_case(5, (13, 9))
    straight = count(case.prob, case.mask, case.ignore)
    turned = count(case.prob.T, case.mask.T, case.ignore.T)
    np.testing.assert_array_equal(straight.tp, turned.tp)
    np.testing.assert_array_equal(straight.fp, turned.fp)


@given(st.integers(0, 2**32 - 1))
def test_more_threshold_less_foreground(seed: int) -> None:
    case = random_case(seed, (6, 5))
    counts = count(case.prob, case.mask, case.ignore)
    assert (np.diff(counts.tp) <= 0).all()
    assert (np.diff(counts.fp) <= 0).all()
    total = counts.tp + counts.fp + counts.fn + counts.tn
    assert (total == (~case.ignore).sum()).all()


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.1, 0.3, 0.5]))
def test_a_hard_mask_is_one_threshold(seed: int, threshold: float) -> None:
    case = random_case(seed, (6, 5))
    hard = count_mask(case.prob > threshold, case.mask, case.ignore)
    swept = count(case.prob, case.mask, case.ignore).at(THRESHOLDS.index(threshold))
    assert (hard.tp[0], hard.fp[0], hard.fn[0], hard.tn[0]) == (swept.tp, swept.fp, swept.fn, swept.tn)


def test_counts_add_up() -> None:
    one, two = (random_case(seed, (5, 5)) for seed in (1, 2))
    both = count(np.vstack([one.prob, two.prob]), np.vstack([one.mask, two.mask]))
    parts = count(one.prob, one.mask), count(two.prob, two.mask)
    for name in ("tp", "fp", "fn", "tn", "union"):
        np.testing.assert_array_equal(sum(getattr(part, name) for part in parts), getattr(both, name))


def test_shapes_have_to_agree() -> None:
    with pytest.raises(ValueError, match="one shape"):
        count(GUESS, HALF[:3])
