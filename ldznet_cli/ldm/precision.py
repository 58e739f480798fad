"""What float32 means: all of its bits, on a GPU as on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def whole_float32() -> Iterator[None]:
    """Convolutions inside are computed in float32 where their tensors are that.

    On NVIDIA GPUs since Ampere PyTorch would let cuDNN round their inputs to TF32, of 10 bits: that is off by 1e-3,
    while what is cached in float32 is to agree between devices to 1e-5. (Matrix products are not rounded by default.)
    """
    # Not the older allow_tf32: the two may not be mixed in one program.
    convolutions = torch.backends.cudnn.conv  # type: ignore[attr-defined]  # put there when it is imported
    before = convolutions.fp32_precision
    convolutions.fp32_precision = "ieee"
    try:
        yield
    finally:
        convolutions.fp32_precision = before
