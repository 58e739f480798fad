"""The native protocol on 4x4 pixels, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ldznet_cli.errors import AnnotationError
from ldznet_cli.metrics import Native, Prediction, Truth
from ldznet_cli.metrics.protocol import Number
from tests.metrics.cases import GUESS, HALF

NOTHING = np.zeros((4, 4), dtype=bool)


def scored(*samples: tuple[np.ndarray, Prediction]) -> dict[tuple[str, str], Number]:
    scorer = Native()
    for place, (mask, prediction) in enumerate(samples):
        scorer.update(Truth(mask, image=str(place)), prediction)
    return {(number.metric, number.threshold): number for number in scorer.compute()}


def test_one_sample() -> None:
    numbers = scored((HALF, Prediction(GUESS, threshold=0.3)))
    assert numbers["mIoU", "own"].value == pytest.approx(6 / 10)
    assert numbers["mIoU", "0.5"].value == pytest.approx(4 / 8)
    assert (numbers["mIoU", "best"].value, numbers["mIoU", "best"].at) == (pytest.approx(0.6), 0.02)
    assert numbers["Pr@0.5", "0.5"].value == 1.0  # not strictly
    assert numbers["Pr@0.7", "own"].value == 0.0
    assert numbers["AP", "every score"].value == pytest.approx(0.8125)
    assert ("absent_FPR", "own") not in numbers


def test_a_pixel_at_its_own_threshold_is_background() -> None:
    at = scored((HALF, Prediction(GUESS, threshold=0.4)))["mIoU", "own"].value
    below = scored((HALF, Prediction(GUESS, threshold=0.39)))["mIoU", "own"].value
    assert (at, below) == (pytest.approx(0.5), pytest.approx(0.6))


def test_nothing_against_nothing_is_one() -> None:
    numbers = scored((NOTHING, Prediction.nothing()), (HALF, Prediction(GUESS)))
    assert numbers["mIoU", "own"].value == pytest.approx((1 + 4 / 8) / 2)
    assert numbers["absent_FPR", "own"].value == 0.0


def test_false_alarms_on_absent_phrases() -> None:
    one_pixel = np.zeros((4, 4), dtype=np.float32)
    one_pixel[2, 3] = 0.6
    numbers = scored(
        (NOTHING, Prediction(one_pixel, threshold=0.7)),
        (NOTHING, Prediction(one_pixel, threshold=0.5)),
        (NOTHING, Prediction.nothing()),
        (HALF, Prediction(GUESS)),
    )
    assert numbers["absent_FPR", "own"].value == pytest.approx(1 / 3)
    assert numbers["absent_FPR", "0.5"].value == pytest.approx(2 / 3)
    assert numbers["absent_FPR", "own"].note == "of 3 absent phrases"


def test_a_phrase_that_is_only_in_ignored_pixels_counts_as_absent() -> None:
    scorer = Native()
    scorer.update(Truth(HALF, ignore=HALF), Prediction(mask=HALF))
    numbers = {(n.metric, n.threshold): n.value for n in scorer.compute()}
    assert numbers["absent_FPR", "own"] == 0.0
    assert numbers["mIoU", "own"] == 1.0


def test_a_map_on_another_grid_is_brought_to_the_image() -> None:
    """2x2 to 4x4 with half-pixel centres: 1, 0.75, 0.25, 0 across."""
    grid = np.array([[1, 0], [1, 0]], dtype=np.float32)
    assert scored((HALF, Prediction(grid)))["mIoU", "0.5"].value == 1.0


def test_hard_masks() -> None:
    numbers = scored((HALF, Prediction(mask=GUESS > 0.3)))
    assert numbers["mIoU", "own"].value == numbers["mIoU", "0.5"].value == pytest.approx(0.6)
    assert numbers["AP", "every score"].value is None
    assert "hard masks" in (numbers["AP", "every score"].note or "")


def test_a_missing_prediction_costs_recall() -> None:
    """Its 8 pixels come with the last score, at which all 32 are taken: precision 16/32."""
    numbers = scored((HALF, Prediction(HALF.astype(np.float32))), (HALF, Prediction.nothing()))
    assert numbers["AP", "every score"].value == pytest.approx(0.5 * 1 + 0.5 * 16 / 32)
    assert numbers["IoU_FG", "own"].value == pytest.approx(8 / 16)


def test_presence_scores_of_present_and_absent_phrases() -> None:
    """The record's own score goes before the map's top 1 %, which of 16 pixels is the highest one."""
    loud = (HALF, Prediction(GUESS))  # 0.9
    told = (HALF, Prediction(GUESS, score=0.2))
    quiet = (NOTHING, Prediction(np.full((4, 4), 0.3, dtype=np.float32)))
    numbers = scored(loud, told, quiet)
    assert numbers["presence_AUROC", "every score"].value == 0.5  # 0.9 > 0.3 > 0.2
    assert scored(loud, quiet)["presence_AUROC", "every score"].value == 1.0
    assert ("presence_AUROC", "every score") not in scored(loud, told)
    assert ("presence_AUROC", "every score") not in scored(quiet)


def test_masks_without_scores_have_no_auroc() -> None:
    number = scored((HALF, Prediction(mask=HALF)), (NOTHING, Prediction.nothing()))[
        "presence_AUROC", "every score"
    ]
    assert (number.value, number.note) == (None, "1 predictions have no presence score")
    told = scored((HALF, Prediction(mask=HALF, score=0.9)), (NOTHING, Prediction.nothing()))
    assert told["presence_AUROC", "every score"].value == 1.0


def test_alarms_have_an_interval() -> None:
    samples = [(NOTHING, Prediction(np.full((4, 4), place % 2, dtype=np.float32))) for place in range(30)]
    low, high = scored(*samples)["absent_FPR", "own"].interval or (0, 0)
    assert 0.2 < low < 0.5 < high < 0.8


@pytest.mark.parametrize("score", [-0.1, 1.5, float("nan")])
def test_a_score_that_is_none_is_refused(score: float) -> None:
    with pytest.raises(AnnotationError, match=r"expected a number in \[0, 1\]"):
        Prediction(GUESS, score=score)
