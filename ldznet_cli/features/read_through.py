"""A copy on this machine of what was read from a cache far away: each object is fetched once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from ldznet_cli.config import user_cache
from ldznet_cli.errors import CacheError, LdznetError
from ldznet_cli.features.checked_once import CheckedOnce
from ldznet_cli.features.folder import Folder
from ldznet_cli.features.key import Key, digest
from ldznet_cli.features.store import Store, file_of

KEPT_FREE = 0.05
"""The copy grows no more when less than this share of its disk would stay free; what is new is then read from afar."""


class ReadThrough:
    """Reads from a folder what is whole there, all else from `origin`, and keeps that in the folder.

    Where the folder takes no more (the user's quota is used up, it may not be written to), `tell` is told so, once, and
    what is new is read from afar from then on.
    """

    def __init__(self, origin: Store, folder: Path, tell: Callable[[str], None] | None = None) -> None:
        self.origin, self.folder, self.tell = origin, Folder(folder), tell
        self._copy = CheckedOnce(self.folder)
        self._keeps = True

    def read(self, key: Key) -> dict[str, Tensor]:
        """The tensors as they are stored; a damaged copy is fetched anew. Raises as the origin's `read`."""
        try:
            return self._copy.read(key)
        except (FileNotFoundError, CacheError):
            found, data = self.origin.fetch(key)
        if self._keeps and self.folder.free_share() > KEPT_FREE:
            self._keep(file_of(digest(key)), bytes(data))
        return found.tensors

    def _keep(self, file: str, data: bytes) -> None:
        try:
            self.folder.write(file, data)
        except LdznetError as error:
            self._keeps = False
            if self.tell is not None:
                origin = self.origin.place.shown()
                self.tell(f"the local copy of {origin} grows no more, what is new is read from afar: {error}")


def copy_of(url: str) -> Path:
    """The folder for a cache's copy when none is named: in the user's cache, one for each URL."""
    return user_cache() / "features" / hashlib.sha256(url.encode()).hexdigest()[:16]
