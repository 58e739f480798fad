"""A cache's place on a disk of this machine."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np

from ldznet_cli.errors import CacheError, CacheUnreachable, DiskFull
from ldznet_cli.features.place import Entry
from ldznet_cli.samples import leftovers
from ldznet_cli.samples.atomic import write_atomically

_BAD_SECTORS = {
    getattr(errno, name, None) for name in ("EIO", "EBADMSG", "EILSEQ", "ENODATA", "EREMOTEIO", "EUCLEAN")
}
"""What Linux says when a disk, or the file system on it, has lost a file's bytes. All else says nothing of them."""


@dataclass(frozen=True)
class Folder:
    """A place on a disk of this machine, or on one that it has mounted. Nothing is created before the first write."""

    root: Path
    torn = True

    def read(self, name: str) -> memoryview:
        return self.stamped(name)[0]

    def stamped(self, name: str) -> tuple[memoryview, Hashable]:
        """All of a file, and what is another as soon as another file is there, or the file has been written to.

        Raises CacheError where the disk has lost it, CacheUnreachable where it cannot be read for another reason; so
        do `start` and `size`.
        """
        try:
            with FileIO(os.path.join(self.root, name)) as file:  # noqa: PTH118 (a Path costs as much as opening it)
                stat = os.fstat(file.fileno())
                data = left = np.empty(stat.st_size, np.uint8).data  # a bytearray is filled with zeros first
                while len(left) and (count := file.readinto(left)):  # the file may have become shorter since
                    left = left[count:]
        except OSError as error:
            raise self._unread(name, error) from error
        return data[: len(data) - len(left)], (stat.st_ino, stat.st_size, stat.st_mtime_ns)

    def start(self, name: str, count: int) -> bytes:
        try:
            with (self.root / name).open("rb", buffering=0) as file:
                return file.read(count)
        except OSError as error:
            raise self._unread(name, error) from error

    def size(self, name: str) -> int:
        try:
            return (self.root / name).stat().st_size
        except OSError as error:
            raise self._unread(name, error) from error

    def write(self, name: str, data: bytes) -> None:
        """Synced to the disk before it is seen. Raises LdznetError where it cannot be written."""
        path = self.root / name
        try:
            write_atomically(path, data)
        except DiskFull as error:
            advice = "make room and run the same command again: what is there stays and is not made twice"
            raise DiskFull(f"no space left to write {path}; {advice}") from error

    def delete(self, name: str) -> None:
        """Raises CacheUnreachable where that is not allowed."""
        try:
            (self.root / name).unlink(missing_ok=True)
        except OSError as error:
            what = f"{self.shown(name)} cannot be deleted ({error.strerror})"
            raise CacheUnreachable(f"{what}: check who may write to its folder") from error

    def entries(self, folder: str) -> Iterator[Entry]:
        """Raises CacheUnreachable where a folder cannot be listed: what is not seen would be taken for what is not."""
        for here, folders, files in os.walk(self.root / folder, onerror=self._unlisted):
            folders.sort()
            for path in (Path(here, file) for file in sorted(files) if not file.startswith(".")):
                name = path.relative_to(self.root).as_posix()
                try:
                    stat = path.stat()
                except FileNotFoundError:  # deleted since it was listed
                    continue
                except OSError as error:
                    raise self._unread(name, error) from error
                yield Entry(name, stat.st_size, stat.st_mtime)

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

    def _unread(self, name: str, error: OSError) -> Exception:
        """What to raise for a file that cannot be read."""
        if isinstance(error, FileNotFoundError):
            return error
        what = f"{self.shown(name)} cannot be read ({error.strerror})"
        if error.errno in _BAD_SECTORS:
            advice = f"`ldznet cache verify {self.root} --repair` makes it anew"
            return CacheError(f"{what}: its disk has lost it; {advice}")
        return CacheUnreachable(f"{what}: check who may read it, and the disk or share that it lies on")

    @staticmethod
    def _unlisted(error: OSError) -> None:
        """What os.walk is to do about a folder that it cannot list; by itself it would pass it over."""
        if isinstance(error, FileNotFoundError):  # never made, or deleted meanwhile
            return
        what = f"{error.filename} cannot be listed ({error.strerror})"
        raise CacheUnreachable(
            f"{what}: check who may read it, and the disk or share that it lies on"
        ) from error

    def _disk(self) -> tuple[int, int]:
        """(all, free) bytes of the disk that this lies on, or would lie on."""
        folder = self.root.absolute()
        while not folder.exists():
            folder = folder.parent
        usage = shutil.disk_usage(folder)
        return usage.total, usage.free
