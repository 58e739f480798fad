"""Which thresholds a value exceeds is what `p > t` says, for every value next to a threshold and in every precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ldznet_cli.metrics import THRESHOLDS
from ldznet_cli.metrics.thresholds import levels_of


def neighbours(dtype: type[np.floating[Any]]) -> np.ndarray:
    """0, 0.02, ..., 1 with the 40 next numbers to each side, all 16-bit PNG values, all 8-bit ones."""
    here = np.array([k / 50 for k in range(51)]).astype(dtype)
    found, up, down = [here], here, here
    for _ in range(40):
        up, down = np.nextafter(up, dtype(2)), np.nextafter(down, dtype(-1))
        found += [up, down]
    found += [(np.arange(65536) / 65535).astype(dtype), (np.arange(256) / 255).astype(dtype)]
    return np.clip(np.concatenate(found), 0, 1)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_levels_are_the_comparisons(dtype: type[np.floating[Any]]) -> None:
    values = neighbours(dtype)
    expected = sum((values > t).astype(int) for t in THRESHOLDS)
    np.testing.assert_array_equal(levels_of(values), expected)


def test_levels_are_pytorchs_comparisons() -> None:
    values = neighbours(np.float32)
    expected = sum((torch.from_numpy(values) > t).int() for t in np.linspace(0, 1, 51)[1:-1])
    np.testing.assert_array_equal(levels_of(values), expected)


def test_a_value_on_a_threshold_is_not_above_it() -> None:
    on = np.array(THRESHOLDS, dtype=np.float32)
    np.testing.assert_array_equal(levels_of(on), np.arange(49))


@given(st.floats(0, 1, width=32))
def test_any_float(value: float) -> None:
    assert levels_of(np.array([value], dtype=np.float32))[0] == sum(np.float32(value) > t for t in THRESHOLDS)


def test_probabilities_have_to_be_floats() -> None:
    with pytest.raises(ValueError, match="floating-point"):
        levels_of(np.zeros(3, dtype=np.uint8))
