"""Tensors as a safetensors file that is whole or not there: written beside its place, flushed, then renamed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ldznet_cli.errors import DiskFull, ModelError, no_room

OWN_MAP = 2**20
"""Bytes from which a tensor that is read has a memory map to itself."""


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
        return dict(map_tensors(path))
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: truncated or not a safetensors file ({error}); copy it anew") from error


def map_tensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    """A file's tensors by name, each large one in a memory map of its own, which goes when the tensor goes.

    Within one map whatever was once read would stay in memory while any part of it is in use.
    Raises SafetensorError, OSError.
    """
    with safe_open(path, framework="pt") as file:
        for key in file.keys():  # noqa: SIM118 (safe_open is no mapping)
            tensor = file.get_tensor(key)
            if tensor.nbytes >= OWN_MAP:
                with safe_open(path, framework="pt") as own:
                    tensor = own.get_tensor(key)
            yield key, tensor


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What goes wrong in the block while `path` is written: DiskFull, or ModelError that names it."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        if no_room(error):
            raise DiskFull(f"{path}: no space left to write to: free some, or name another folder") from error
        raise ModelError(f"{path}: cannot be written ({error}); name another folder") from error
