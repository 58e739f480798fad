"""The resizing that protocols prescribe, to the pixel: each names the library whose convention it is."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Mask = NDArray[np.bool_]
Index = NDArray[np.intp]


def nearest_floor(mask: Mask, width: int, height: int) -> Mask:
    """Nearest as PyTorch's interpolate(mode="nearest") has it: source = floor(target * in / out), in float32."""
    if mask.shape == (height, width):
        return mask
    rows, columns = _floor_index(mask.shape[0], height), _floor_index(mask.shape[1], width)
    return mask.take(rows, axis=0).take(columns, axis=1)


def nearest_centre(mask: Mask, width: int, height: int) -> Mask:
    """Nearest as Pillow's (and torchvision's on its images) has it: source = floor((target + 0.5) * in / out).

    Pillow itself, because it adds up the steps, and where they hit a half its rounding decides.
    """
    image = Image.fromarray(np.ascontiguousarray(mask).view(np.uint8))
    return np.asarray(image.resize((width, height), Image.Resampling.NEAREST)).astype(bool)


def bilinear_corners(prob: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    """Bilinear with the corner pixels' centres kept in the corners (PyTorch's align_corners=True), (h, w) → (H, W)."""
    if prob.shape == (height, width):
        return prob
    first, second, weight = _corner_weights(prob.shape[1], width)
    across = prob[:, first] * (1 - weight) + prob[:, second] * weight
    first, second, weight = _corner_weights(prob.shape[0], height)
    weight = weight[:, None]
    return np.asarray(across[first] * (1 - weight) + across[second] * weight, dtype=prob.dtype)


@lru_cache(maxsize=256)
def _floor_index(source: int, target: int) -> Index:
    scale = np.float32(source) / np.float32(target)
    index = np.floor(np.arange(target, dtype=np.float32) * scale).astype(np.intp)
    return np.asarray(np.minimum(index, source - 1))


@lru_cache(maxsize=256)
def _corner_weights(source: int, target: int) -> tuple[Index, Index, NDArray[np.float32]]:
    scale = np.float32(source - 1) / np.float32(target - 1) if target > 1 else np.float32(0)
    place = np.arange(target, dtype=np.float32) * scale
    first = np.minimum(place.astype(np.intp), source - 1)
    return first, np.minimum(first + 1, source - 1), (place - first).astype(np.float32)
