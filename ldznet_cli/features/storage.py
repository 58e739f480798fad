"""How a tensor lies on disk: float32, float16, bfloat16, or int8 with a scale for each channel."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ldznet_cli.features.key import Storage

DTYPES: dict[Storage, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "int8": torch.int8,
}
SCALE = ".scale"
"""Beside the int8 tensor `name` of shape (C, …) lies `name.scale`, float32 (C, 1, …)."""

_INT8_MAX = 127.0


def stored(tensors: Mapping[str, Tensor], storage: Storage) -> dict[str, Tensor]:
    """`tensors` as they are written: in the storage dtype, contiguous, on the CPU.

    They leave their device first: where its memory is full, nothing could be converted there.
    """
    if storage == "int8":
        return {name: part for whole in tensors for name, part in _quantised(whole, tensors[whole]).items()}
    return {name: value.cpu().to(DTYPES[storage]).contiguous() for name, value in tensors.items()}


def restored(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What `stored` was given, in float32, but for what the storage dtype rounded away."""
    return {
        name: value.float() * tensors[name + SCALE] if value.dtype == torch.int8 else value.float()
        for name, value in tensors.items()
        if not name.endswith(SCALE)
    }


def bytes_of(shape: tuple[int, ...], storage: Storage) -> int:
    """The bytes that a tensor of this shape takes, its scales included."""
    count = 1
    for side in shape:
        count *= side
    return count * DTYPES[storage].itemsize + (4 * shape[0] if storage == "int8" else 0)


def _quantised(name: str, value: Tensor) -> dict[str, Tensor]:
    """Symmetric: the largest magnitude of each channel becomes 127."""
    value = value.cpu().float()
    peak = value.abs().amax(dim=tuple(range(1, value.ndim)), keepdim=True)
    scale = torch.where(peak == 0, torch.ones_like(peak), peak / _INT8_MAX)  # NaN stays NaN, to be refused
    return {name: (value / scale).round().to(torch.int8).contiguous(), name + SCALE: scale.contiguous()}
