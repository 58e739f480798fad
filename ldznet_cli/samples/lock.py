"""One run at a time in one OUT: a lock on a file there, which the system takes back when its holder ends, however."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ldznet_cli.errors import UsageError
from ldznet_cli.samples.atomic import not_written

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK = ".ldznet.lock"

_FAR = 1 << 30
"""Windows forbids to read what is locked: that is a byte beyond the holder's name."""


@contextmanager
def locked(folder: Path, tell: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """While the block lasts no other run, on this machine or another, is let into `folder`, which is made.

    Some network file systems know no locks: there `tell` hears, in one line, that nobody watches, and the block is
    run all the same. Raises UsageError naming who holds the lock, DiskFull, LdznetError.
    """
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _acquired(path, tell)
    except OSError as error:
        raise not_written(path, error) from error
    try:
        yield
    finally:
        if file is not None:
            _release(path, file)


def _acquired(path: Path, tell: Callable[[str], None]) -> BinaryIO | None:
    """The file, locked and with our name in it; None where there are no locks."""
    while True:
        file = path.open("a+b")
        try:
            taken = _try(file)
        except OSError as error:
            file.close()
            with suppress(OSError):
                path.unlink()
            tell(
                f"{path.parent}: its file system knows no locks ({error.strerror}): see to it that no other run writes "
                "there at the same time"
            )
            return None
        if not taken:
            with file:
                raise UsageError(
                    f"{path.parent}: another run writes there ({_holder(file)}): wait for its end, or give this one "
                    "another --out"
                )
        if _is_at(path, file):
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
            file.flush()
            return file
        file.close()  # its former holder took it away after we had opened it: there may be a new one


def _try(file: BinaryIO) -> bool:
    """Whether the lock is ours now. Raises OSError where there is no such thing."""
    try:
        if sys.platform == "win32":
            file.seek(_FAR)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _is_at(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _holder(file: BinaryIO) -> str:
    file.seek(0)
    return file.read(200).decode(errors="replace") or "it has only begun"


def _release(path: Path, file: BinaryIO) -> None:
    """The file goes while it is still ours; Windows lets nobody take away what is open."""
    if sys.platform != "win32":
        with suppress(OSError):
            path.unlink()
    file.close()
    if sys.platform == "win32":
        with suppress(OSError):
            path.unlink()
