"""The cut-out: what the mask holds, on nothing. A format of `ldznet segment`."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from ldznet_cli.inference.formats import Answer


@dataclass(frozen=True)
class CutoutPng:
    """RGBA of the image's size; alpha is the mask. What is not seen is black, so that it tells nothing."""

    name: str = "cutout"
    suffix: str = ".cutout.png"

    def encode(self, answer: Answer) -> bytes:
        pixels = np.where(answer.alpha[..., None] > 0, np.asarray(answer.image), np.uint8(0))
        buffer = io.BytesIO()
        Image.fromarray(np.dstack([pixels, answer.alpha])).save(buffer, format="PNG")
        return buffer.getvalue()
