from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ldznet_cli.errors import UsageError
from ldznet_cli.inference.formats import Part, Scene
from ldznet_cli.reporting.label_map import MOST, LabelMapPng, colour_at
from ldznet_cli.reporting.overlay import PALETTE

CLASSES = ("sky", "lamp", "grass")


def numbers(*parts: tuple[str, list[list[float]]], threshold: float = 0.5) -> Image.Image:
    found = [Part(label, np.array(prob, dtype=np.float32)) for label, prob in parts]
    scene = Scene(Path("a.png"), 3, 1, threshold, found)
    return Image.open(io.BytesIO(LabelMapPng(CLASSES).encode(scene, Path("x.png"))))


def test_the_most_probable_label_above_the_threshold_or_none() -> None:
    picture = numbers(("lamp", [[0.9, 0.3, 0.6]]), ("grass", [[0.8, 0.5, 0.7]]))
    assert (picture.mode, picture.size) == ("P", (3, 1))
    assert np.asarray(picture).tolist() == [[2, 0, 3]]
    assert np.asarray(picture.convert("RGB")).tolist() == [[list(colour_at(n)) for n in (2, 0, 3)]]
    assert np.asarray(numbers(("lamp", [[0.9, 0.3, 0.6]]), threshold=0.2)).tolist() == [[2, 2, 2]]


def test_the_legend_says_what_numbers_mean() -> None:
    files = LabelMapPng(CLASSES).beside()
    legend = json.loads(files["labelmap/legend.json"])
    assert [(one["number"], one["label"]) for one in legend] == [
        (0, None),
        (1, "sky"),
        (2, "lamp"),
        (3, "grass"),
    ]
    assert legend[0]["colour"] == "#000000"
    picture = Image.open(io.BytesIO(files["labelmap/legend.png"])).convert("RGB")
    colours = {colour for _, colour in picture.getcolors(10**6)}
    assert {colour_at(number) for number in range(4)} <= colours


def test_every_number_has_a_colour_of_its_own() -> None:
    assert len({colour_at(number) for number in range(MOST + 1)}) == MOST + 1
    assert colour_at(1) == PALETTE[0]


def test_more_labels_than_8_bits_hold() -> None:
    LabelMapPng(tuple(map(str, range(MOST))))
    with pytest.raises(UsageError, match="255 labels apart, here are 256"):
        LabelMapPng(tuple(map(str, range(MOST + 1))))
