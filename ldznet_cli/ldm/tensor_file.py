"""Tensors as a safetensors file that is whole or not there: written beside its place, flushed, then renamed."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ldznet_cli.errors import DiskFull, ModelError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Without a copy of what is contiguous and on the CPU. Raises DiskFull; ModelError when it cannot be written."""
    plain = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    part = path.with_name(f".ldznet-{secrets.token_hex(8)}.part")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file(plain, part, metadata={"format": "pt"})
            part.chmod(0o644)  # safetensors writes for the owner alone
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All of a file's tensors, memory-mapped. Raises ModelError for one that is truncated or of another kind."""
    try:
        with safe_open(path, framework="pt"):  # which checks its header
            return dict(map_tensors(path))
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: truncated or not a safetensors file ({error}); copy it anew") from error


def map_tensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Each tensor of a file that is known to be whole, in a memory map of its own.

    What safetensors gives are parts of one map: while one of them is in use, all that were ever read stay in memory.
    Raises ModelError for a type of number that is no weight's.
    """
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    header.pop("__metadata__", None)
    for key, entry in header.items():
        if (dtype := _DTYPES.get(entry["dtype"])) is None:
            raise ModelError(f"{path}: {key} is stored as {entry['dtype']}; expected {', '.join(_DTYPES)}")
        begin, end = entry["data_offsets"]
        if begin == end:
            yield key, torch.empty(entry["shape"], dtype=dtype)
        else:
            numbers = np.memmap(path, np.uint8, "c", 8 + size + begin, (end - begin,))
            yield key, torch.frombuffer(numbers, dtype=dtype).reshape(entry["shape"])


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What goes wrong in the block while `path` is written: DiskFull, or ModelError that names it."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        # safetensors puts the operating system's number into its text instead of into an OSError.
        if getattr(error, "errno", None) in _FULL or "os error 28" in str(error):
            raise DiskFull(f"{path}: no space left to write to: free some, or name another folder") from error
        raise ModelError(f"{path}: cannot be written ({error}); name another folder") from error
