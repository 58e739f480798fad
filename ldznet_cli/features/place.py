"""Where a cache lies: files by name (`objects/ab/abcd….safetensors`) below one folder, here or behind a URL.

Whoever looks at a place sees whole files only; nobody changes one that is there but by putting another in its stead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


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
