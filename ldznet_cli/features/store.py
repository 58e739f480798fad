"""Objects of the cache as files: `objects/ab/abcd….safetensors`, named by the digest of their key, never changed.

Several processes may share one store without locks: each object is put there in one step, so that whoever looks sees
a whole object or none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ldznet_cli.errors import CacheError, CacheUnreachable
from ldznet_cli.features import objects
from ldznet_cli.features.folder import Folder
from ldznet_cli.features.key import Key, digest, named_differences
from ldznet_cli.features.locate import place_of
from ldznet_cli.features.objects import CachedObject
from ldznet_cli.features.place import Entry, Place

OBJECTS = "objects"
_SUFFIX = ".safetensors"
_HEADER_READ = 1 << 13  # bytes; a header is about 1,500 long


class Store:
    """The objects below one folder, or one URL. Nothing is created before the first write."""

    def __init__(self, where: Path | str | Place) -> None:
        self.place = place_of(where)

    def __repr__(self) -> str:
        return f"Store({self.place.shown()!r})"

    @property
    def root(self) -> Path:
        """The folder of a store that is one."""
        assert isinstance(self.place, Folder), f"{self} is no folder"
        return self.place.root

    def path_of(self, name: str) -> Path:
        """Where in that folder the object whose key has the digest `name` lies, or would lie."""
        return self.root / file_of(name)

    def is_whole(self, name: str) -> bool:
        """Whether the object is there in full length. Its checksum is checked when it is read, not here.

        Raises CacheUnreachable where nobody can say.
        """
        try:
            size = self.place.size(file_of(name))
            if not self.place.torn:
                return size > 0
            begin, header = objects.header_of(self._header_bytes(name))
            return size == objects.size_of(begin, header)
        except CacheUnreachable:
            raise
        except (FileNotFoundError, ValueError, CacheError):
            return False

    def present(self) -> Callable[[str], bool]:
        """`is_whole` for very many names at once: where each would be a request of its own, from one listing."""
        if self.place.torn:
            return self.is_whole
        return {name for name, entry in self.entries() if entry.bytes}.__contains__

    def lost(self, names: Iterable[str]) -> list[str]:
        """Those of these names of which there is no file. No file is opened, so it takes less than `present`."""
        there = self._has_file if self.place.torn else self.present()
        return [name for name in names if not there(name)]

    def read(self, key: Key) -> CachedObject:
        """The object of `key`, checked to the last bit.

        Raises FileNotFoundError when it is not there, CacheError naming the file when it is damaged.
        """
        return self.fetch(key)[0]

    def fetch(self, key: Key) -> tuple[CachedObject, memoryview]:
        """The object of `key` as `read` gives it, and the bytes of its file. Raises as `read` does."""
        file = file_of(digest(key))
        data = self.place.read(file)
        return self.checked(key, file, data), data

    def checked(self, key: Key, file: str, data: memoryview) -> CachedObject:
        """The object of `key` in the bytes of `file`. Raises CacheError, naming it, when it is not that, whole."""
        path, advice = (
            self.place.shown(file),
            f"`ldznet cache verify {self.place.shown()} --repair` makes it anew",
        )
        try:
            found = objects.from_bytes(data)
        except ValueError as error:
            raise CacheError(f"{path} is damaged: {error}; {advice}") from error
        if found.key != key:
            differs = named_differences(key, found.key)
            raise CacheError(f"{path} holds another object than its name says: {differs}; {advice}")
        return found

    def write(self, key: Key, tensors: Mapping[str, Tensor], made: Mapping[str, Any]) -> int:
        """Write the object of `key`, in place of one that is damaged; returns its bytes.

        Raises NotFinite for values that are not finite, DiskFull when there is no room.
        """
        data = objects.to_bytes(key, made, tensors)
        self.place.write(file_of(digest(key)), data)
        return len(data)

    def kind_of(self, name: str) -> str:
        """The kind of an object, by what its header says, which is not checked here; "damaged" when it says nothing."""
        try:
            _, header = objects.header_of(self._header_bytes(name))
            return str(objects.about_of(header)["key"]["kind"])
        except CacheUnreachable:
            raise
        except (CacheError, FileNotFoundError, ValueError, KeyError, TypeError):
            return "damaged"

    def names(self) -> Iterator[str]:
        """The digests of all objects that are there, whole or not, in order."""
        return (name for name, _ in self.entries())

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """(digest, file) of all objects that are there, whole or not, in order."""
        for entry in self.place.entries(OBJECTS):
            name = entry.name.rpartition("/")[2].removesuffix(_SUFFIX)
            if entry.name == file_of(name):
                yield name, entry

    def free_bytes(self) -> int | None:
        """The room left where the store lies, or would lie; None where nobody says."""
        return self.place.free_bytes()

    def sweep(self) -> int:
        """Delete what processes of this machine that are dead left half written; returns how many files that were."""
        return self.place.sweep()

    def _has_file(self, name: str) -> bool:
        try:
            return self.place.size(file_of(name)) > 0
        except FileNotFoundError:
            return False

    def _header_bytes(self, name: str) -> bytes:
        start = self.place.start(file_of(name), _HEADER_READ)
        wanted = int.from_bytes(start[:8], "little") + 8
        enough = wanted <= len(start) or wanted > objects.LONGEST_HEADER
        return start if enough else self.place.start(file_of(name), wanted)


def file_of(name: str) -> str:
    """Where in its place the object whose key has the digest `name` lies."""
    return f"{OBJECTS}/{name[:2]}/{name}{_SUFFIX}"
