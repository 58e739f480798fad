from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ldznet_cli.inference.answering import Finish, answered
from ldznet_cli.samples.masks import decode_rle
from ldznet_cli.samples.shaping import Shaping

IMAGE = Image.new("RGB", (10, 10), "red")
PROB = np.zeros((10, 10), dtype=np.float32)
PROB[2:6, 3:7] = 0.8
PROB[8, 8] = 0.6


def test_boxes_of_the_mask_and_of_its_parts() -> None:
    found = answered(IMAGE, "lamp", PROB, Finish(0.5)).measured(rle=True)
    assert (found["area"], found["box"], found["present"]) == (17, (3, 2, 6, 7), None)
    big, small = found["instances"]
    assert (big.box, big.area, big.score) == ((3, 2, 4, 4), 16, pytest.approx(0.8, abs=1e-4))
    assert (small.box, small.area, small.score) == ((8, 8, 1, 1), 1, pytest.approx(0.6, abs=1e-4))
    assert decode_rle(found["rle"]["counts"], 10, 10).sum() == 17


def test_the_record_tells_of_the_shaped_mask_and_the_probabilities_stay() -> None:
    made = answered(IMAGE, "lamp", PROB, Finish(0.5, shaping=Shaping(min_area=2, invert=True)))
    assert made.measured(rle=False)["area"] == 84
    assert np.allclose(made.answer.prob, PROB, atol=1e-5)
    assert made.answer.alpha[0, 0] == 255
    assert made.answer.alpha[3, 4] == 0


def test_below_the_least_score_it_is_not_there() -> None:
    there = answered(IMAGE, "lamp", PROB, Finish(0.5, min_score=0.8))
    assert there.present is True
    gone = answered(IMAGE, "lamp", PROB, Finish(0.5, min_score=0.81))
    found = gone.measured(rle=False)
    assert (gone.present, found["area"], found["box"], found["instances"]) == (False, 0, None, ())
    assert found["score"] == there.measured(rle=False)["score"] == pytest.approx(0.8, abs=1e-4)
    assert not gone.answer.prob.any()
    assert not gone.answer.alpha.any()


@pytest.mark.parametrize("shaping", [Shaping(invert=True), Shaping(invert=True, feather=2)])
def test_what_is_not_there_is_not_inverted(shaping: Shaping) -> None:
    gone = answered(IMAGE, "lamp", PROB, Finish(0.5, min_score=0.9, shaping=shaping))
    assert gone.measured(rle=False)["area"] == 0
    assert not gone.answer.alpha.any()


def test_polygons_are_traced_and_their_loss_is_measured_where_they_are_asked_for() -> None:
    assert answered(IMAGE, "lamp", PROB, Finish(0.5)).polygon_iou is None
    made = answered(IMAGE, "lamp", PROB, Finish(0.5), outlined=True)
    assert (len(made.rings), made.polygon_iou) == (2, 1.0)
