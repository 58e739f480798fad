"""Figures: the same numbers, the same bytes; what is drawn is what was given; nothing of the user's settings counts."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from PIL import Image

from ldznet_cli.errors import UsageError
from ldznet_cli.reporting.figures import Value, bars, heat_map, lines
from ldznet_cli.reporting.label_map import colour_at
from ldznet_cli.reporting.picture_grid import Panel, heat, labelled, legend, picture_grid

TABLE = [[0.51, 0.62], [0.55, 0.71], [0.4, 0.3]]
BARS = {"RGBNet": [Value(0.35, (0.33, 0.38)), None], "LD-ZNet": [Value(0.6), Value(0.5, (0.45, 0.55))]}
CURVE = [(50, Value(0.2, (0.1, 0.3))), (200, Value(0.4, (0.35, 0.45))), (2000, Value(0.6))]


def drawn_heat_map(table: list[list[float]] = TABLE) -> bytes:
    return heat_map(["0 down", "1 mid", "2 up"], ["50", "150"], table, title="AP", column_label="timestep")


def drawn_bars() -> bytes:
    return bars(["photo", "sketch"], BARS, title="(a)", y_label="mIoU")


def drawn_lines() -> bytes:
    floors = {"phrase-blind": [(50, Value(0.1)), (2000, Value(0.1))]}
    return lines({"LD-ZNet": CURVE}, title="masks", x_label="scenes", y_label="mIoU", floors=floors, log=True)


@pytest.mark.parametrize("draw", [drawn_heat_map, drawn_bars, drawn_lines])
def test_the_same_numbers_give_the_same_bytes_whatever_the_user_has_set(draw) -> None:  # type: ignore[no-untyped-def]
    import matplotlib as mpl

    first = draw()
    with mpl.rc_context({"font.size": 22, "axes.facecolor": "pink", "savefig.dpi": 30}):
        assert draw() == first
    picture = Image.open(io.BytesIO(first))
    assert picture.format == "PNG"
    assert not {"Software", "Creation Time", "date"} & set(picture.info)


def test_other_numbers_give_another_picture() -> None:
    assert drawn_heat_map() != drawn_heat_map([[0.51, 0.62], [0.72, 0.71], [0.4, 0.3]])


def test_a_table_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"values are \(2, 2\), expected \(3, 2\)"):
        drawn_heat_map(TABLE[:2])


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"ldznet-cli\[plots\]"):
        drawn_bars()


def test_heat_rises_in_brightness_and_two_maps_share_a_scale() -> None:
    ramp = heat(np.linspace(0, 1, 9, dtype=np.float32)[None])
    assert (np.diff(ramp.astype(int).sum(-1)) > 0).all()
    half = heat(np.array([[0.0, 0.5]]), 0, 1)
    assert (half[0, 0] == ramp[0, 0]).all()
    assert (half[0, 1] == ramp[0, 4]).all()
    assert heat(np.full((2, 2), 3.0)).shape == (2, 2, 3)


def test_a_label_map_has_the_colours_of_segment() -> None:
    found = labelled(np.array([[0, 2], [1, 9]], dtype=np.uint8))
    assert [tuple(pixel) for pixel in found.reshape(-1, 3)] == [colour_at(n) for n in (0, 2, 1, 9)]
    key = legend({2: "red lamp", 9: "sky"}, side=100)
    assert (key[10, 5] == colour_at(2)).all()
    assert (key[30, 5] == colour_at(9)).all()


def test_pictures_stand_where_their_row_says() -> None:
    red, blue = np.zeros((4, 4, 3), dtype=np.uint8), np.zeros((2, 4, 3), dtype=np.uint8)
    red[..., 0] = blue[..., 2] = 255
    content = picture_grid(
        [[Panel(red, "red")], [Panel(blue), Panel(red, "a caption that is far too long")]], side=40
    )
    sheet = np.asarray(Image.open(io.BytesIO(content)))
    assert sheet.shape == (2 * 68 + 8, 2 * 48 + 8, 3)
    assert tuple(sheet[28, 28]) == (255, 0, 0)
    assert tuple(sheet[28, 76]) == (255, 255, 255)
    assert tuple(sheet[68 + 18, 28]) == (0, 0, 255)
    assert tuple(sheet[68 + 38, 28]) == (255, 255, 255)  # a flat picture leaves the rest white
    assert tuple(sheet[68 + 38, 76]) == (255, 0, 0)
    assert content == picture_grid(
        [[Panel(red, "red")], [Panel(blue), Panel(red, "a caption that is far too long")]], side=40
    )
