"""Files that are whole or not there: written beside their place, flushed to the disk, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ldznet_cli.errors import DiskFull, LdznetError, no_room
from ldznet_cli.samples.leftovers import part_name


def write_atomically(path: Path, content: bytes) -> None:
    """Put `content` at `path`, making its folders; whoever looks sees the old file or the new one, never a part.

    Raises DiskFull when there is no space left, LdznetError when the place cannot be written to; neither leaves
    anything behind.
    """
    with open_atomically(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """`write_atomically` of UTF-8: names of files, which may hold bytes that are no text, have those spelt out."""
    write_atomically(path, text.encode("utf-8", "backslashreplace"))


@contextmanager
def open_atomically(path: Path) -> Iterator[BinaryIO]:
    """`write_atomically` for a file that comes in pieces: it is at `path` when the block has ended well, else nowhere.

    Raises as `write_atomically` does.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _part_of(path) as file:
            yield file
    except OSError as error:
        raise not_written(path, error) from error


def not_written(path: Path, error: OSError) -> LdznetError:
    """What to raise for a file that cannot be written: DiskFull, or an LdznetError with the system's reason."""
    if no_room(error):
        return DiskFull(f"{path}: no space left to write to: free some, or name another folder")
    return LdznetError(f"{path}: cannot be written ({error.strerror}): name another folder")


@contextmanager
def _part_of(path: Path) -> Iterator[BinaryIO]:
    part = path.with_name(part_name())
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
