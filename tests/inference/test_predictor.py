from __future__ import annotations

from PIL import Image

from ldznet_cli.inference import ClipSegPredictor, ColourPredictor, Predictor
from ldznet_cli.inference.nets import NetPredictor
from ldznet_cli.samples.geometry import Geometry


def test_the_fake_finds_the_colour_that_is_named() -> None:
    image = Image.new("RGB", (100, 50), "white")
    image.paste("red", (0, 0, 50, 50))
    red, white, lamp = ColourPredictor().predict(image, "0" * 64, ["red lamp", "White", "lamp"])
    height, width = red.geometry.grid
    assert red.prob.shape == (height, width)
    assert (width, height) == Geometry("aligned", 64).network_size(100, 50)
    assert red.prob[:, : width // 2 - 3].min() > 0.9
    assert red.prob[:, width // 2 + 3 :].max() < 0.5
    assert white.prob[:, width // 2 + 3 :].min() > 0.9
    assert lamp.prob.max() == 0


def test_all_are_predictors() -> None:
    assert isinstance(ColourPredictor(), Predictor)
    assert not isinstance(object(), Predictor)
    for kind in (NetPredictor, ClipSegPredictor):
        assert callable(kind.predict)
        assert callable(kind.check)
