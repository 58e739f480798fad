"""IoU in its variants, on numbers that can be checked by eye."""

from __future__ import annotations

import numpy as np
import pytest

from ldznet_cli.metrics.iou import Overlap, OverlapSums, iou, smoothed_iou


def test_smoothed_iou_is_never_quite_one() -> None:
    np.testing.assert_allclose(smoothed_iou([6, 8, 0], [2, 0, 0], [2, 0, 0]), [6 / 11, 8 / 9, 0])


@pytest.mark.parametrize("empty", [0.0, 1.0])
def test_nothing_against_nothing(empty: float) -> None:
    np.testing.assert_array_equal(iou([0, 0, 3], [0, 5, 4], empty), [empty, 0, 0.75])


def numbers(*pairs: tuple[int, int], strict: bool = False) -> dict[str, float | None]:
    sums = OverlapSums((0.5, 0.7), strict=strict, seed=0, replicates=0)
    for place, pair in enumerate(pairs):
        sums.add(Overlap(str(place), *pair))
    return {number.metric: number.value for number in sums.numbers("mean", "overall", "Pr", "own")}


def test_overlaps_are_averaged_summed_and_cut() -> None:
    found = numbers((5, 10), (8, 10), (0, 0))
    assert found == pytest.approx(
        {"mean": (0.5 + 0.8) / 3, "overall": 13 / 20, "Pr@0.5": 2 / 3, "Pr@0.7": 1 / 3}
    )


def test_strictly_beyond_a_cutoff() -> None:
    assert numbers((5, 10), (8, 10), strict=True)["Pr@0.5"] == 0.5
