"""The overlay: an image with a mask over it, tinted, with a line around it. Colours live here."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from ldznet_cli.inference.formats import Answer

PALETTE = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
"""Okabe and Ito's colours, which colour-blind people can tell apart too (jfly.uni-koeln.de/color, without black)."""

LONGEST_SIDE = 4096
"""Pixels of an overlay at most: it is for the eye, and some viewers take no more."""

_TINT = 0.5
_DIMMED = 0.65
"""What is left of the brightness of everything that is not in the mask."""

_JPEG_QUALITY = 90


@dataclass(frozen=True)
class OverlayJpeg:
    """The overlay as a format of `ldznet segment`."""

    name: str = "overlay"
    suffix: str = ".overlay.jpg"

    def encode(self, answer: Answer) -> bytes:
        buffer = io.BytesIO()
        drawn = overlay(answer.image, answer.mask, answer.label)
        drawn.save(buffer, format="JPEG", quality=_JPEG_QUALITY, subsampling=0)
        return buffer.getvalue()


def colour_of(label: str) -> tuple[int, int, int]:
    """The colour of a label: the same in every picture and every run."""
    return PALETTE[hashlib.sha256(label.encode()).digest()[0] % len(PALETTE)]


def overlay(image: Image.Image, mask: NDArray[np.bool_], label: str) -> Image.Image:
    """RGB image and bool mask (height, width) → RGB, at the image's size, at most `LONGEST_SIDE`.

    The mask is tinted in the label's colour within a line of white and that colour; the rest is dimmed. An empty mask
    leaves the whole picture dimmed.
    """
    from scipy.ndimage import binary_dilation

    picture, inside = _bounded(image, mask)
    pixels = np.asarray(picture, dtype=np.float32)
    colour = np.array(colour_of(label), dtype=np.float32)
    tinted = np.where(inside[..., None], (1 - _TINT) * pixels + _TINT * colour, _DIMMED * pixels)
    width = max(1, round(max(picture.size) / 400))
    near = binary_dilation(inside, iterations=width)
    tinted[binary_dilation(near, iterations=width) & ~near] = 255
    tinted[near & ~inside] = colour
    return Image.fromarray(np.rint(tinted).astype(np.uint8))


def _bounded(image: Image.Image, mask: NDArray[np.bool_]) -> tuple[Image.Image, NDArray[np.bool_]]:
    scale = LONGEST_SIDE / max(image.size)
    if scale >= 1:
        return image, mask
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = Image.fromarray(mask).resize(size, Image.Resampling.NEAREST)
    return image.resize(size, Image.Resampling.BOX), np.asarray(small)
