"""A sheet of pictures in rows, each with its caption: scenes, maps over them, label maps with their legend."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ldznet_cli.reporting.label_map import colour_at

_GAP, _TEXT, _FONT = 8, 20, 13

_RAMP = ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))
"""Dark to light, of rising brightness, as in matplotlib's inferno."""


@dataclass(frozen=True, eq=False)
class Panel:
    """One picture: uint8 RGB (H, W, 3), with the words below it."""

    picture: NDArray[np.uint8]
    caption: str = ""


def picture_grid(rows: Sequence[Sequence[Panel]], *, side: int = 160) -> bytes:
    """PNG of the sheet; each picture is fitted into side x side pixels, rows may be of different lengths."""
    across = max(map(len, rows))
    size = (across * (side + _GAP) + _GAP, len(rows) * (side + _GAP + _TEXT) + _GAP)
    sheet = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(_FONT)
    for y, row in enumerate(rows):
        for x, panel in enumerate(row):
            left, top = _GAP + x * (side + _GAP), _GAP + y * (side + _GAP + _TEXT)
            fitted = _fitted(panel.picture, side)
            sheet.paste(fitted, (left + (side - fitted.width) // 2, top))
            text = _shortened(panel.caption, font, side + _GAP)
            pen.text((left + side / 2, top + side + 2), text, fill="black", font=font, anchor="ma")
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def heat(
    values: NDArray[np.floating], low: float | None = None, high: float | None = None
) -> NDArray[np.uint8]:
    """A map (h, w) as colours (h, w, 3), dark at `low`, light at `high`: its own extremes where nothing is said.

    Maps that are to be compared get the same two.
    """
    least = float(values.min()) if low is None else low
    most = float(values.max()) if high is None else high
    shares = np.clip((values - least) / max(most - least, 1e-12), 0, 1)
    stops = np.linspace(0, 1, len(_RAMP))
    parts = [np.interp(shares, stops, [colour[part] for colour in _RAMP]) for part in range(3)]
    return np.asarray(np.rint(np.stack(parts, axis=-1)), dtype=np.uint8)


def labelled(numbers: NDArray[np.integer]) -> NDArray[np.uint8]:
    """A label map (H, W) in the colours of `ldznet segment --format labelmap`; 0 is black."""
    palette = np.array([colour_at(number) for number in range(int(numbers.max()) + 1)], dtype=np.uint8)
    return np.asarray(palette[numbers])


def legend(labels: Mapping[int, str], side: int = 160) -> NDArray[np.uint8]:
    """The colours of those numbers with their labels, as a picture of side x side pixels."""
    sheet = Image.new("RGB", (side, side), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(_FONT)
    height = min(_TEXT, side // max(1, len(labels)))
    for row, (number, label) in enumerate(labels.items()):
        top = row * height
        box = (0, top + 2, height - 4, top + height - 2)
        pen.rectangle(box, fill=colour_at(number), outline="black")
        pen.text((height + 2, top), _shortened(label, font, side - height - 2), fill="black", font=font)
    return np.asarray(sheet)


def _fitted(picture: NDArray[np.uint8], side: int) -> Image.Image:
    """Enlarged by whole pixels, so that a coarse map shows its grid; made smaller smoothly."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)


def _shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"
