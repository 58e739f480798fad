"""Image files of every kind that people have, all of one small picture with a known look."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ORIENTATION = 274


def scene(width: int = 33, height: int = 21) -> NDArray[np.uint8]:
    """A smooth RGB picture whose four corners differ, so that any turn or mirror image shows."""
    x = np.linspace(0, 255, width)[None, :].repeat(height, axis=0)
    y = np.linspace(0, 255, height)[:, None].repeat(width, axis=1)
    return np.stack([x, y, (x + y) / 3], axis=2).astype(np.uint8)


def encode(mode: str, kind: str, orientation: int | None = None, **options: object) -> bytes:
    """The scene in one Pillow mode (or I;16: its red channel with 16 bits) and file format."""
    image = Image.fromarray(scene())
    if mode == "I;16":
        image = Image.fromarray(scene()[..., 0].astype(np.uint16) * 257)
    elif mode != "RGB":
        image = image.convert("L" if mode == "LA" else "RGB").convert(mode)
    if orientation is not None:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        options["exif"] = exif
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def put(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
