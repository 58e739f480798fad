"""Running out of memory: how it is known, and what is given back then."""

from __future__ import annotations

import torch

_WORDS = ("can't allocate memory", "Cannot allocate memory", "out of memory")
_ONEDNN = "could not create a primitive"
"""All that oneDNN says when it has no memory for its kernels."""


def out_of_memory(error: BaseException) -> bool:
    """Whether the device, or the machine, had no memory left: on a CPU PyTorch raises a plain RuntimeError then."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error)
    return text == _ONEDNN or any(words in text for words in _WORDS)


def free_memory(device: torch.device) -> None:
    """Give back what PyTorch holds of a GPU's memory without using it."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
