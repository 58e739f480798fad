"""Masks and probability maps as PNG files: 8 bits for a mask, 16 bits for probabilities."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ldznet_cli.errors import ImageError
from ldznet_cli.samples.atomic import write_atomically
from ldznet_cli.samples.images import open_image

Mask = NDArray[np.bool_]
Prob = NDArray[np.float32]

_SIXTEEN, _EIGHT = 65535, 255


def write_mask(path: Path, mask: Mask) -> None:
    """Write a bool mask (height, width) as 8-bit PNG: 0 and 255."""
    write_atomically(path, mask_png(np.where(mask, np.uint8(_EIGHT), np.uint8(0))))


def mask_png(alpha: NDArray[np.uint8]) -> bytes:
    """A mask as uint8 (height, width), 0 to 255, as the bytes of an 8-bit PNG: `read_mask` cuts it at one half."""
    return _png(alpha)


def read_mask(path: Path) -> Mask:
    """The bool mask (height, width) of an image file.

    Of 1-bit and palette images every index but 0 is mask; of grey ones what is at least half of white, or 1 where the
    file holds 0 and 1 only. Colours are taken as grey, transparency is ignored. Raises ImageError.
    """
    image = open_image(path)
    if image.mode in ("1", "P"):
        return np.asarray(image).astype(bool)
    grey = _grey(image)
    top = _SIXTEEN if image.mode.startswith("I") else _EIGHT
    mask: Mask = grey >= (1 if grey.max() <= 1 else (top + 1) // 2)
    return mask


def write_prob(path: Path, prob: Prob) -> None:
    """Write probabilities (h, w) in [0, 1] as 16-bit grey PNG: round(p * 65535)."""
    write_atomically(path, prob_png(prob))


def prob_png(prob: Prob) -> bytes:
    """What `write_prob` writes."""
    return _png(np.rint(np.asarray(prob, dtype=np.float64).clip(0, 1) * _SIXTEEN).astype(np.uint16))


def read_prob(path: Path) -> Prob:
    """The probabilities, float32 (h, w) in [0, 1], of a 16-bit grey image (or an 8-bit one). Raises ImageError."""
    image = open_image(path)
    if image.mode not in ("I;16", "I;16B", "I", "L"):
        raise ImageError(f"{path}: a {image.mode} image: expected probabilities as 16-bit grey")
    return np.divide(_grey(image), _EIGHT if image.mode == "L" else _SIXTEEN, dtype=np.float32)


def _grey(image: Image.Image) -> NDArray[np.int32]:
    return np.asarray(image if image.mode.startswith("I") else image.convert("L")).astype(np.int32)


def _png(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()
