"""A cache's place on a disk of this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np

from ldznet_cli.errors import DiskFull
from ldznet_cli.features.place import Entry
from ldznet_cli.samples import leftovers
from ldznet_cli.samples.atomic import write_atomically


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
