"""The label map: one picture for all prompts of an image, each pixel the number of the most probable one, or 0.

A format of `ldznet segment`. Its palette gives each number a colour, its legend tells which label that is.
"""

from __future__ import annotations

import colorsys
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ldznet_cli.errors import UsageError
from ldznet_cli.reporting.overlay import PALETTE
from ldznet_cli.samples.geometry import to_image_size

if TYPE_CHECKING:
    from ldznet_cli.inference.formats import Scene

MOST = 255
"""Labels that 8 bits can tell apart from each other and from none."""

NONE = (0, 0, 0)

_GOLDEN = 0.618033988749895
"""Steps of this part of the colour circle never come near a former one."""

_ROW, _SWATCH, _MARGIN = 22, 16, 6


@dataclass(frozen=True)
class LabelMapPng:
    """8-bit palette PNG of the image's size: 0 where no prompt is above the threshold, else the number of the label
    that is the most probable one there. `classes` are the run's labels, numbered from 1.

    It is made of the probabilities: no shaping changes it. Raises UsageError for more than 255 labels.
    """

    classes: tuple[str, ...]
    name: str = "labelmap"
    folder: str = "labelmap"
    suffix: str = ".png"
    outlined: bool = False

    def __post_init__(self) -> None:
        if len(self.classes) > MOST:
            raise UsageError(
                f"a label map tells {MOST} labels apart, here are {len(self.classes)}: leave labelmap out of --format"
            )

    def encode(self, scene: Scene, place: Path) -> bytes:  # noqa: ARG002
        picture = Image.fromarray(self._numbers(scene))
        picture.putpalette([part for number in range(len(self.classes) + 1) for part in colour_at(number)])
        return _png(picture)

    def beside(self) -> Mapping[str, bytes]:
        """`legend.json` for programs, `legend.png` for people."""
        entries = [
            {"number": number, "label": label, "colour": "#%02x%02x%02x" % colour_at(number)}  # noqa: UP031
            for number, label in enumerate((None, *self.classes))
        ]
        text = json.dumps(entries, indent=1, ensure_ascii=False) + "\n"
        return {"labelmap/legend.json": text.encode(), "labelmap/legend.png": _png(self._legend())}

    def _numbers(self, scene: Scene) -> NDArray[np.uint8]:
        numbers = np.zeros((scene.height, scene.width), dtype=np.uint8)
        best = np.full((scene.height, scene.width), scene.threshold, dtype=np.float32)
        for part in scene.parts:
            prob = to_image_size(part.prob, scene.width, scene.height)
            better = prob > best
            best[better] = prob[better]
            numbers[better] = 1 + self.classes.index(part.label)
        return numbers

    def _legend(self) -> Image.Image:
        names = ("none of these", *self.classes)
        font = ImageFont.load_default(13)
        width = max(int(font.getlength(name)) for name in names) + _SWATCH + 3 * _MARGIN
        picture = Image.new("RGB", (width, _ROW * len(names) + _MARGIN), "white")
        draw = ImageDraw.Draw(picture)
        for number, name in enumerate(names):
            y = number * _ROW + _MARGIN
            draw.rectangle(
                (_MARGIN, y, _MARGIN + _SWATCH, y + _SWATCH), fill=colour_at(number), outline="black"
            )
            draw.text((2 * _MARGIN + _SWATCH, y), name, fill="black", font=font)
        return picture


def colour_at(number: int) -> tuple[int, int, int]:
    """The colour of a label's number: black for 0, then the overlay's palette, then others as far apart as can be."""
    if number == 0:
        return NONE
    if number <= len(PALETTE):
        return PALETTE[number - 1]
    value = 0.95 if number % 2 else 0.7
    red, green, blue = colorsys.hsv_to_rgb(number * _GOLDEN % 1, 0.55 + 0.4 * (number % 3 > 0), value)
    return round(255 * red), round(255 * green), round(255 * blue)


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()
