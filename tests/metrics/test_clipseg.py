"""CLIPSeg's protocol on 4x4 pixels, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ldznet_cli.metrics import ClipSeg, Prediction, Truth
from ldznet_cli.metrics.protocol import Number
from tests.metrics.cases import GUESS, HALF, random_case


def scored(
    *samples: tuple[np.ndarray, Prediction], size: int = 4, exact_ap: bool = True
) -> dict[tuple[str, str], Number]:
    scorer = ClipSeg(size, exact_ap=exact_ap)
    for place, (mask, prediction) in enumerate(samples):
        scorer.update(Truth(mask, image=str(place)), prediction)
    return {(number.metric, number.threshold): number for number in scorer.compute()}


def test_one_sample() -> None:
    """At 0.3 TP 6, FP 2, FN 2, TN 6; at 0.5 TP 4, FP 0, FN 4, TN 8."""
    numbers = scored((HALF, Prediction(GUESS)))
    assert numbers["mIoU", "0.3"].value == pytest.approx(6 / 11)
    assert numbers["mIoU", "0.5"].value == pytest.approx(4 / 9)
    assert numbers["IoU_FG", "0.3"].value == pytest.approx(6 / 11)
    assert numbers["IoU_BIN", "0.3"].value == pytest.approx((6 / 11 + 6 / 11) / 2)
    assert numbers["IoU_BIN", "0.5"].value == pytest.approx((4 / 9 + 8 / 13) / 2)
    best = numbers["mIoU", "best"]
    assert (best.value, best.at) == (pytest.approx(6 / 11), 0.02)
    assert numbers["AP", "0.02..0.98"].value == pytest.approx(22 / 135)
    assert numbers["AP", "0.02..0.98"].span == pytest.approx((4 / 9, 6 / 9))
    assert numbers["AP_exact", "every score"].value == pytest.approx(0.8125)


def test_two_samples_are_averaged_or_summed() -> None:
    """The second one's 16 pixels are all found: the mean of 6/11 and 16/17, and (6 + 16) / (1 + 10 + 16)."""
    everything = np.ones((4, 4), dtype=bool)
    numbers = scored((HALF, Prediction(GUESS)), (everything, Prediction(np.ones((4, 4), dtype=np.float32))))
    assert numbers["mIoU", "0.3"].value == pytest.approx((6 / 11 + 16 / 17) / 2)
    assert numbers["IoU_FG", "0.3"].value == pytest.approx(22 / 27)
    assert numbers["IoU_FG", "0.3"].interval is not None


def test_nothing_against_nothing_is_zero() -> None:
    """The 1 in the denominator: an absent phrase that is rightly not found lowers this mIoU."""
    nothing = np.zeros((4, 4), dtype=bool)
    numbers = scored((nothing, Prediction.nothing()))
    assert numbers["mIoU", "0.5"].value == 0.0
    assert numbers["AP", "0.02..0.98"].value is None


def test_the_best_of_each_metric_is_its_own() -> None:
    """Small samples, found below 0.2, weigh as much as a large one in mIoU; false pixels only count in IoU_FG."""
    large = (np.ones((4, 4), dtype=bool), Prediction(np.ones((4, 4), dtype=np.float32)))
    noisy = np.full((4, 4), 0.3, dtype=np.float32)
    noisy[0] = 0.7
    small = (np.eye(4, dtype=bool), Prediction(np.where(np.eye(4), 0.2, 0.0).astype(np.float32)))
    wrong = (np.zeros((4, 4), dtype=bool), Prediction(noisy))
    numbers = scored(large, small, small, small, wrong, wrong, wrong)
    assert numbers["mIoU", "best"].at == 0.02
    assert numbers["IoU_FG", "best"].at == 0.7
    assert numbers["IoU_FG", "best"].value == pytest.approx(16 / (1 + 16 + 12))


def test_the_square_is_squashed() -> None:
    """2x8 to 4x4: every row twice, every other column (PyTorch's nearest takes 0, 2, 4, 6)."""
    mask = np.array([[True, False] * 4, [False, True] * 4])
    numbers = scored((mask, Prediction(np.ones((1, 1), dtype=np.float32))))
    assert numbers["IoU_FG", "0.5"].value == pytest.approx(8 / 17)


def test_ignored_pixels_do_not_count() -> None:
    ignore = np.float32(0.4) == GUESS
    scorer = ClipSeg(4)
    scorer.update(Truth(HALF, ignore=ignore), Prediction(GUESS))
    numbers = {(n.metric, n.threshold): n.value for n in scorer.compute()}
    assert numbers["mIoU", "0.3"] == pytest.approx(4 / (1 + 4 + 0 + 2))


def test_hard_masks_have_no_ap() -> None:
    """And a perfect one is as good as a mask can be: squashed by nearest, as the ground truth is."""
    mask = np.random.default_rng(0).random((9, 7)) < 0.5
    numbers = scored((mask, Prediction(mask=mask)))
    for key in (("AP", "0.02..0.98"), ("AP_exact", "every score")):
        assert numbers[key].value is None
        assert numbers[key].note == "1 predictions are hard masks, which have no scores"
    perfect = scored((mask, Prediction(mask.astype(np.float32))), size=9)
    positives = numbers["mIoU", "0.5"].value
    assert positives is not None
    assert positives == numbers["mIoU", "0.1"].value == numbers["mIoU", "best"].value
    assert positives / (1 - positives) == pytest.approx(round(positives / (1 - positives)))  # n / (1 + n)
    assert perfect["AP_exact", "every score"].value is not None


def test_one_hard_mask_among_others_takes_the_ap_away() -> None:
    numbers = scored((HALF, Prediction(GUESS)), (HALF, Prediction(mask=HALF)))
    assert numbers["AP", "0.02..0.98"].value is None


def test_without_the_exact_ap() -> None:
    assert ("AP_exact", "every score") not in scored((HALF, Prediction(GUESS)), exact_ap=False)


def test_best_and_ap_have_intervals() -> None:
    """The best threshold is chosen anew in each replicate, so its interval lies above that of any one threshold."""
    scorer = ClipSeg(6, ap_interval=True)
    for seed in range(20):
        case = random_case(seed, (6, 6))
        scorer.update(Truth(case.mask, image=str(seed)), Prediction(case.prob))
    numbers = {(n.metric, n.threshold): n for n in scorer.compute()}
    best, half = numbers["mIoU", "best"].interval, numbers["mIoU", "0.5"].interval
    assert best is not None
    assert half is not None
    assert best[0] >= half[0]
    ap = numbers["AP", "0.02..0.98"]
    assert ap.interval is not None
    assert ap.interval[0] < (ap.value or 0) < ap.interval[1]


def test_curves() -> None:
    scorer = ClipSeg(4, exact_ap=True)
    scorer.update(Truth(HALF), Prediction(GUESS))
    curves = {(curve.kind, curve.name): curve for curve in scorer.curves()}
    sweep = curves["threshold", "mIoU"]
    assert dict(zip(sweep.x, sweep.y, strict=True))[0.5] == pytest.approx(4 / 9)
    recall = curves["recall", "precision"]
    assert list(zip(recall.x, recall.y, strict=True)) == [
        pytest.approx((4 / 9, 4 / 5)),
        pytest.approx((6 / 9, 6 / 9)),
    ]
    assert sum(curves["calibration", "share in the mask"].weights) == 16
    scorer.update(Truth(HALF), Prediction(mask=HALF))
    assert {curve.kind for curve in scorer.curves()} == {"threshold"}
