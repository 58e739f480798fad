"""Objects of the cache as files: `objects/ab/abcd….safetensors`, named by the digest of their key, never changed.

Several processes may share one store without locks: an object is written to a temporary file of its own in the same
folder, synced, and renamed, so that whoever looks sees a whole object or none.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor

from ldznet_cli.errors import CacheError, DiskFull
from ldznet_cli.features import objects
from ldznet_cli.features.key import Key, digest
from ldznet_cli.features.objects import CachedObject

OBJECTS = "objects"
_SUFFIX = ".safetensors"
_TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<host>[^.]+)\.(?P<pid>\d+)\.[0-9a-f]{8}\.tmp")
_HEADER_READ = 1 << 13  # bytes; a header is about 1,500 long
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Store:
    """The objects below one folder. Nothing is created before the first write."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def __repr__(self) -> str:
        return f"Store({str(self.root)!r})"

    def path_of(self, name: str) -> Path:
        """Where the object whose key has the digest `name` lies, or would lie."""
        return self.root / OBJECTS / name[:2] / f"{name}{_SUFFIX}"

    def is_whole(self, name: str) -> bool:
        """Whether the object is there in full length. Its checksum is checked when it is read, not here."""
        try:
            with self.path_of(name).open("rb", buffering=0) as file:
                begin, header = objects.header_of(_header_bytes(file.read))
                return os.fstat(file.fileno()).st_size == objects.size_of(begin, header)
        except (FileNotFoundError, ValueError):
            return False

    def read(self, key: Key) -> CachedObject:
        """The object of `key`, checked to the last bit.

        Raises FileNotFoundError when it is not there, CacheError naming the file when it is damaged.
        """
        path = self.path_of(digest(key))
        with path.open("rb", buffering=0) as file:
            data = bytearray(os.fstat(file.fileno()).st_size)
            _fill(file.readinto, memoryview(data))
        try:
            found = objects.from_bytes(data)
        except ValueError as error:
            raise CacheError(
                f"{path} is damaged: {error}; delete it, and `ldznet cache-features` makes it anew"
            ) from error
        if found.key != key:
            raise CacheError(
                f"{path} holds another object than its name says; delete it, it will be made anew"
            )
        return found

    def write(self, key: Key, tensors: Mapping[str, Tensor], made: Mapping[str, Any]) -> int:
        """Write the object of `key`, in place of one that is damaged; returns its bytes.

        Raises CacheError for values that are not finite, DiskFull when there is no room.
        """
        data = objects.to_bytes(key, made, tensors)
        write_whole(self.path_of(digest(key)), data)
        return len(data)

    def names(self) -> Iterator[str]:
        """The digests of all objects that are there, whole or not, in order."""
        for path in sorted((self.root / OBJECTS).glob(f"??/*{_SUFFIX}")):
            yield path.name.removesuffix(_SUFFIX)

    def free_bytes(self) -> int:
        """The room left where the store lies, or would lie."""
        folder = self.root.absolute()
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free

    def sweep(self) -> int:
        """Delete what processes of this machine that are dead left half written; returns how many files that were."""
        leftovers = [path for path in self.root.rglob(".*.tmp") if _is_abandoned(path.name)]
        for path in leftovers:
            path.unlink(missing_ok=True)
        return len(leftovers)


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that at no time anyone finds a part of it there, and that it outlives a power cut.

    Raises DiskFull when there is no room.
    """
    with _room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f".{path.name}.{_host()}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def _room_for(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        advice = "make room and run the same command again: what is there stays and is not made twice"
        raise DiskFull(f"no space left to write {path}; {advice}") from error


def _header_bytes(read: Callable[[int], bytes]) -> bytes:
    start = read(_HEADER_READ)
    wanted = int.from_bytes(start[:8], "little") + 8
    return start if wanted <= len(start) or wanted > (1 << 20) else start + read(wanted - len(start))


def _fill(readinto: Callable[[memoryview], int], view: memoryview) -> None:
    """Read until `view` is full or the file ends (its length may have changed since it was asked for)."""
    while len(view) and (count := readinto(view)):
        view = view[count:]


@cache
def _host() -> str:
    """Names the place where this process's number means this process: the machine, and on Linux the container."""
    namespace = Path("/proc/self/ns/pid")
    inside = str(namespace.readlink()) if namespace.is_symlink() else ""
    return re.sub(r"[^A-Za-z0-9]+", "-", f"{socket.gethostname()} {inside}").strip("-")


def _is_abandoned(name: str) -> bool:
    """Whether a temporary file's writer was a process of this machine, and is no more."""
    parts = _TEMPORARY.fullmatch(name)
    if parts is None or parts["host"] != _host():
        return False
    try:
        os.kill(int(parts["pid"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
