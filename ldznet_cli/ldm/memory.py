"""Running out of memory: how it is known; and what is held without being used, given back."""

from __future__ import annotations

import ctypes
import sys

import torch

_WORDS = (
    "can't allocate memory",
    "Cannot allocate memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
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


def give_back_free_memory() -> None:
    """Give the system back what the C library keeps of memory that was freed: between the weights that stay lie the
    gaps of those that were only on their way. Only glibc (Linux) has a call for it."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)
