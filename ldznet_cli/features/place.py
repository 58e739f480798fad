"""Where a cache lies: files by name (`objects/ab/abcd….safetensors`) below one folder, here or behind a URL.

Whoever looks at a place sees whole files only; nobody changes one that is there but by putting another in its stead.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from ldznet_cli.errors import DiskFull
from ldznet_cli.samples import leftovers
from ldznet_cli.samples.atomic import write_atomically


@dataclass(frozen=True)
class Entry:
    """A file of a place: its name, its size in bytes, and when it was written, in seconds since 1970."""

    name: str
    bytes: int
    modified: float


@runtime_checkable
class Place(Protocol):
    """Files below one folder. Names have `/` between their parts; a name that is not there is a FileNotFoundError."""

    @property
    def torn(self) -> bool:
        """Whether a file may be there in part, as on a disk that was full or lost its power."""
        ...

    def read(self, name: str) -> memoryview:
        """All of a file, in memory that may be written to."""
        ...

    def start(self, name: str, count: int) -> bytes:
        """The first `count` bytes of a file, or all when it has no more."""
        ...

    def size(self, name: str) -> int:
        """The bytes of a file."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Put a file there in one step. Raises DiskFull."""
        ...

    def delete(self, name: str) -> None:
        """Take a file away; it may be gone already."""
        ...

    def entries(self, folder: str) -> Iterator[Entry]:
        """Every file below `folder`, folder by folder, each in order; none when there is no such folder."""
        ...

    def exists(self) -> bool:
        """Whether there is anything at all."""
        ...

    def free_bytes(self) -> int | None:
        """The room that is left; None where nobody says."""
        ...

    def sweep(self) -> int:
        """Delete what dead processes of this machine left half written; returns how many files that were."""
        ...

    def shown(self, name: str = "") -> str:
        """A name in full, for people."""
        ...


def place_of(where: Path | str | Place) -> Place:
    """A folder for a path (or a file: URL), else what the URL names.

    Raises UsageError for a URL that nothing here can read, saying what to install.
    """
    if isinstance(where, Path):
        return Folder(where)
    if not isinstance(where, str):
        return where
    if where.startswith("file://"):
        return Folder(Path(where.removeprefix("file://")))
    if "://" not in where:
        return Folder(Path(where))
    from ldznet_cli.features.remote import Remote

    return Remote(where)


@dataclass(frozen=True)
class Folder:
    """A place on a disk of this machine, or on one that it has mounted. Nothing is created before the first write."""

    root: Path
    torn = True

    def read(self, name: str) -> memoryview:
        return self.stamped(name)[0]

    def stamped(self, name: str) -> tuple[memoryview, Hashable]:
        """All of a file, and what is another as soon as another file is there, or the file has been written to."""
        with FileIO(os.path.join(self.root, name)) as file:  # noqa: PTH118 (a Path costs as much as opening it)
            stat = os.fstat(file.fileno())
            data = left = np.empty(stat.st_size, np.uint8).data  # a bytearray is filled with zeros first
            while len(left) and (count := file.readinto(left)):  # the file may have become shorter since
                left = left[count:]
        return data[: len(data) - len(left)], (stat.st_ino, stat.st_size, stat.st_mtime_ns)

    def start(self, name: str, count: int) -> bytes:
        with (self.root / name).open("rb", buffering=0) as file:
            return file.read(count)

    def size(self, name: str) -> int:
        return (self.root / name).stat().st_size

    def write(self, name: str, data: bytes) -> None:
        """Synced to the disk before it is seen. Raises LdznetError where it cannot be written."""
        path = self.root / name
        try:
            write_atomically(path, data)
        except DiskFull as error:
            advice = "make room and run the same command again: what is there stays and is not made twice"
            raise DiskFull(f"no space left to write {path}; {advice}") from error

    def delete(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)

    def entries(self, folder: str) -> Iterator[Entry]:
        for here, folders, files in os.walk(self.root / folder):
            folders.sort()
            for path in (Path(here, file) for file in sorted(files) if not file.startswith(".")):
                try:
                    stat = path.stat()
                except FileNotFoundError:  # deleted since it was listed
                    continue
                yield Entry(path.relative_to(self.root).as_posix(), stat.st_size, stat.st_mtime)

    def exists(self) -> bool:
        return self.root.is_dir()

    def free_bytes(self) -> int:
        return self._disk()[1]

    def free_share(self) -> float:
        """The part of its disk that is free, 0 to 1."""
        total, free = self._disk()
        return free / total

    def sweep(self) -> int:
        return leftovers.sweep(self.root)

    def shown(self, name: str = "") -> str:
        return str(self.root / name)

    def _disk(self) -> tuple[int, int]:
        """(all, free) bytes of the disk that this lies on, or would lie on."""
        folder = self.root.absolute()
        while not folder.exists():
            folder = folder.parent
        usage = shutil.disk_usage(folder)
        return usage.total, usage.free
