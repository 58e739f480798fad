"""Files that are whole or not there: written beside their place, flushed to the disk, then renamed."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

from ldznet_cli.errors import DiskFull, LdznetError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_atomically(path: Path, content: bytes) -> None:
    """Put `content` at `path`, making its folders; whoever looks sees the old file or the new one, never a part.

    Raises DiskFull when there is no space left, LdznetError when the place cannot be written to; neither leaves
    anything behind.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, content)
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFull(f"{path}: no space left to write to: free some, or name another folder") from error
        raise LdznetError(f"{path}: cannot be written ({error.strerror}): name another folder") from error


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f".ldznet-{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
