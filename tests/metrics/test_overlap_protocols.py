"""PhraseCut's and RefCOCO's protocols on 4x4 pixels, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ldznet_cli.metrics import PhraseCut, Prediction, RefCoco, Truth
from tests.metrics.cases import GUESS, HALF

NOTHING = np.zeros((4, 4), dtype=bool)
QUARTER = np.repeat([[True, False, False, False]], 4, axis=0)


def phrasecut(*samples: tuple[Truth, Prediction]) -> dict[str, float | None]:
    scorer = PhraseCut()
    for truth, prediction in samples:
        scorer.update(truth, prediction)
    return {number.metric: number.value for number in scorer.compute()}


def refcoco(*samples: tuple[Truth, Prediction], size: int = 4) -> dict[str, float | None]:
    scorer = RefCoco(size)
    for truth, prediction in samples:
        scorer.update(truth, prediction)
    return {number.metric: number.value for number in scorer.compute()}


def test_phrasecut() -> None:
    """6/10 at 0.3 and 4/8 at 0.5; the latter is not *above* 0.5."""
    numbers = phrasecut((Truth(HALF), Prediction(GUESS, threshold=0.3)), (Truth(HALF), Prediction(GUESS)))
    assert numbers["mean_IoU"] == pytest.approx((0.6 + 0.5) / 2)
    assert numbers["cumulative_IoU"] == pytest.approx(10 / 18)
    assert numbers["acc@0.5"] == 0.5
    assert numbers["acc@0.6"] == 0.0


def test_phrasecut_draws_the_outline() -> None:
    outlined = HALF.copy()
    outlined[:, 2] = True
    numbers = phrasecut((Truth(HALF, outlined=outlined), Prediction(mask=HALF)))
    assert numbers["mean_IoU"] == pytest.approx(8 / 12)


def test_nothing_against_nothing_is_zero_in_both() -> None:
    sample = (Truth(NOTHING), Prediction.nothing())
    assert phrasecut(sample)["mean_IoU"] == phrasecut(sample)["cumulative_IoU"] == 0.0
    assert refcoco(sample)["mIoU"] == refcoco(sample)["oIoU"] == 0.0


def test_refcoco() -> None:
    """Always at 0.5, whatever the prediction's own threshold; 4/8 is enough for Pr@0.5."""
    numbers = refcoco(
        (Truth(HALF), Prediction(GUESS, threshold=0.3)), (Truth(QUARTER), Prediction(mask=QUARTER))
    )
    assert numbers["mIoU"] == pytest.approx((0.5 + 1) / 2)
    assert numbers["oIoU"] == pytest.approx(8 / 12)
    assert numbers["Pr@0.5"] == 1.0
    assert numbers["Pr@0.6"] == 0.5


def test_refcoco_shrinks_as_pillow_does() -> None:
    """4 to 2 takes columns 1 and 3: of the quarter nothing is left."""
    numbers = refcoco((Truth(QUARTER), Prediction(mask=QUARTER)), size=2)
    assert numbers["mIoU"] == 0.0


def test_ignored_pixels_do_not_count() -> None:
    ignore = np.float32(0.4) == GUESS
    truth = Truth(HALF, ignore=ignore)
    assert phrasecut((truth, Prediction(GUESS, threshold=0.3)))["mean_IoU"] == pytest.approx(4 / 6)
    assert refcoco((truth, Prediction(GUESS)))["mIoU"] == pytest.approx(4 / 6)
