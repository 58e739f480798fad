"""Simpson's rule equals SciPy's, and is exact where a parabola is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from ldznet_cli.metrics.simpson import simpson

UNIT = st.floats(0, 1, width=32)


@given(st.lists(st.tuples(UNIT, UNIT), min_size=1, max_size=49, unique_by=lambda point: point[0]))
def test_as_scipy_has_it(points: list[tuple[float, float]]) -> None:
    x, y = zip(*sorted(points), strict=True)
    assert simpson(y, x) == pytest.approx(float(integrate.simpson(y, x=x)), rel=1e-9, abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), min_size=1, max_size=12, unique=True))
def test_as_scipy_has_it_where_points_share_an_x(points: list[tuple[int, int]]) -> None:
    x, y = zip(*sorted((a / 4, b / 9) for a, b in points), strict=True)
    assert simpson(y, x) == pytest.approx(float(integrate.simpson(y, x=x)), abs=1e-12)


@pytest.mark.parametrize("count", [3, 4, 7, 10])
def test_a_parabola_is_integrated_exactly(count: int) -> None:
    x = np.sort(np.random.default_rng(count).random(count))
    found = simpson((3 * x**2 - x + 2).tolist(), x.tolist())
    expected = np.polyval([1, -0.5, 2, 0], x[-1]) - np.polyval([1, -0.5, 2, 0], x[0])
    assert found == pytest.approx(expected)


def test_few_points() -> None:
    assert simpson([], []) == 0.0
    assert simpson([0.7], [0.2]) == 0.0
    assert simpson([1.0, 0.5], [0.0, 0.5]) == pytest.approx(0.375)
