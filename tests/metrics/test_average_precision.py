"""AP: Simpson's over the recall span, worked by hand, and the exact one against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from ldznet_cli.metrics import count
from ldznet_cli.metrics.average_precision import ScoreHistogram, simpson_ap
from ldznet_cli.metrics.counts import Counts
from tests.metrics.cases import GUESS, HALF, random_case


def sums(tp: list[int], fp: list[int], positives: int) -> Counts:
    true, false = np.array(tp), np.array(fp)
    return Counts(true, false, positives - true, 1000 - false)


def test_two_points_make_a_trapezoid() -> None:
    """Recall 4/9 and 6/9 with precision 4/5 and 6/9; above 0.9 nothing is predicted, which is dropped."""
    found = simpson_ap(count(GUESS, HALF))
    assert found.value == pytest.approx((6 / 9 - 4 / 9) * (4 / 5 + 6 / 9) / 2)
    assert found.span == pytest.approx((4 / 9, 6 / 9))


def test_three_points_make_a_parabola() -> None:
    """Through (1/5, 1/2), (2/5, 2/3), (4/5, 4/9): its integral over the span, with NumPy's polynomials."""
    found = simpson_ap(sums([4, 2, 1], [4, 0, 0], 4))
    recall, precision = [1 / 6, 2 / 6, 4 / 6], [1 / 2, 2 / 3, 4 / 9]
    recall = [1 / (1 + 4), 2 / (1 + 4), 4 / (1 + 4)]
    antiderivative = np.polyint(np.polyfit(recall, precision, 2))
    area = np.polyval(antiderivative, recall[-1]) - np.polyval(antiderivative, recall[0])
    assert found.value == pytest.approx(area)


def test_equal_points_count_once_and_order_does_not_matter() -> None:
    once = simpson_ap(sums([4, 2, 1], [4, 0, 0], 4))
    often = simpson_ap(sums([1, 4, 4, 2, 2], [0, 4, 4, 0, 0], 4))
    assert often == once


def test_a_confident_model_covers_little_recall() -> None:
    """The same mask at all thresholds is one point: no span, no area, however good the mask."""
    found = simpson_ap(sums([90, 90, 90], [0, 0, 0], 90))
    assert found.value == 0.0
    assert found.span == (90 / 91, 90 / 91)


def test_no_prediction_no_number() -> None:
    found = simpson_ap(sums([0, 0], [0, 0], 9))
    assert found.value is None
    assert found.span is None


def exact(prob: np.ndarray, mask: np.ndarray, ignore: np.ndarray | None = None) -> float | None:
    histogram = ScoreHistogram()
    histogram.update(prob, mask, ignore)
    return histogram.average_precision()


def test_the_exact_one_by_hand() -> None:
    """At 0.9: R 4/8, P 1. At 0.4: R 6/8, P 6/8. At 0: R 1, P 1/2."""
    assert exact(GUESS, HALF) == pytest.approx(0.5 * 1 + 0.25 * 0.75 + 0.25 * 0.5)


@given(st.integers(0, 2**32 - 1))
def test_the_exact_one_is_scikit_learns(seed: int) -> None:
    random = np.random.default_rng(seed)
    case = random_case(seed, (17, 11))
    codes = random.integers(0, random.choice([3, 300, 65536]), case.mask.shape)
    prob = (codes / 65535).astype(np.float32)
    kept = ~case.ignore
    if not case.mask[kept].any():
        assert exact(prob, case.mask, case.ignore) is None
    else:
        expected = average_precision_score(case.mask[kept], codes[kept])
        assert exact(prob, case.mask, case.ignore) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_16_bit_value_has_a_bin_of_its_own(dtype: type) -> None:
    """Ranking all 65,536 values perfectly leaves an AP of 1: no two of them fall together."""
    prob = (np.arange(65536) / 65535).astype(dtype)
    for cut in (1, 2, 30000, 65535):
        assert exact(prob[None], (np.arange(65536) >= cut)[None]) == pytest.approx(1, abs=1e-12)


def test_maps_larger_than_a_chunk() -> None:
    random = np.random.default_rng(0)
    prob, mask = random.random((400, 401), dtype=np.float32), random.random((400, 401)) < 0.2
    rounded = np.rint(prob.astype(np.float64) * 65535)
    assert exact(prob, mask) == pytest.approx(
        average_precision_score(mask.ravel(), rounded.ravel()), abs=1e-6
    )


def test_merged_is_together() -> None:
    one, two, both = ScoreHistogram(), ScoreHistogram(), ScoreHistogram()
    for seed, part in ((1, one), (2, two)):
        case = random_case(seed, (9, 9))
        part.update(case.prob, case.mask)
        both.update(case.prob, case.mask)
    one.merge(two)
    assert one.average_precision() == both.average_precision()


@given(st.integers(0, 2**32 - 1))
def test_auroc_is_scikit_learns(seed: int) -> None:
    """Ties and all; without one of each kind there is none."""
    random = np.random.default_rng(seed)
    codes = random.integers(0, random.choice([3, 300, 65536]), 40)
    inside = random.random(40) < random.choice([0.0, 0.2, 0.8])
    histogram = ScoreHistogram()
    histogram.update((codes / 65535)[None], inside[None])
    if inside.all() or not inside.any():
        assert histogram.auroc() is None
    else:
        assert histogram.auroc() == pytest.approx(roc_auc_score(inside, codes), abs=1e-12)


def test_the_curve_is_scikit_learns() -> None:
    random = np.random.default_rng(3)
    codes, inside = random.integers(0, 12, (9, 9)), random.random((9, 9)) < 0.4
    histogram = ScoreHistogram()
    histogram.update(codes / 65535, inside)
    curve = histogram.precision_recall()
    assert curve is not None
    precision, recall, _ = precision_recall_curve(inside.ravel(), codes.ravel())
    expected = {r: p for r, p in zip(recall, precision, strict=True) if r > 0}
    for r, p in zip(curve.x, curve.y, strict=True):
        assert p in [
            pytest.approx(q) for s, q in zip(recall, precision, strict=True) if s == pytest.approx(r)
        ]
    assert len(set(curve.x)) == len(expected)


def test_calibration_by_hand() -> None:
    """Three pixels about 0.1, of which one is inside; one at 0.9, which is."""
    histogram = ScoreHistogram()
    histogram.update(np.array([[0.1, 0.1, 0.11, 0.9]]), np.array([[True, False, False, True]]))
    curve = histogram.calibration()
    assert curve is not None
    assert curve.x == pytest.approx((0.31 / 3, 0.9), abs=1e-5)
    assert curve.y == pytest.approx((1 / 3, 1.0))
    assert curve.weights == (3, 1)


def test_nothing_seen_nothing_drawn() -> None:
    assert ScoreHistogram().calibration() is None
    assert ScoreHistogram().precision_recall() is None
