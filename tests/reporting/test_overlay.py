from __future__ import annotations

import numpy as np
from PIL import Image

from ldznet_cli.reporting.overlay import LONGEST_SIDE, PALETTE, colour_of, overlay

GREY = Image.new("RGB", (40, 30), (200, 200, 200))


def test_the_mask_is_tinted_and_the_rest_dimmed() -> None:
    mask = np.zeros((30, 40), dtype=bool)
    mask[10:20, 10:20] = True
    drawn = np.asarray(overlay(GREY, mask, "lamp"))
    assert drawn.shape == (30, 40, 3)
    assert drawn[0, 0].tolist() == [130, 130, 130]
    assert drawn[15, 15].tolist() == [round((200 + part) / 2) for part in colour_of("lamp")]
    assert drawn[9, 15].tolist() == list(colour_of("lamp"))
    assert drawn[8, 15].tolist() == [255, 255, 255]
    assert drawn[7, 15].tolist() == [130, 130, 130]


def test_a_label_has_one_colour() -> None:
    assert colour_of("lamp") == PALETTE[5]  # in every process
    assert {colour_of(str(number)) for number in range(99)} == set(PALETTE)


def test_an_empty_and_a_full_mask() -> None:
    assert np.unique(np.asarray(overlay(GREY, np.zeros((30, 40), dtype=bool), "x"))).tolist() == [130]
    full = np.asarray(overlay(GREY, np.ones((30, 40), dtype=bool), "x"))
    assert (full == full[0, 0]).all()


def test_a_long_image_is_scaled_down() -> None:
    mask = np.zeros((3, 70_000), dtype=bool)
    drawn = overlay(Image.new("RGB", (70_000, 3)), mask, "x")
    assert drawn.size == (LONGEST_SIDE, 1)
