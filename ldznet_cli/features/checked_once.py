"""Objects read again and again, as training does: each file is checked when it is first read, not every time."""

from __future__ import annotations

from torch import Tensor

from ldznet_cli.features import objects
from ldznet_cli.features.folder import Folder
from ldznet_cli.features.key import Key, digest
from ldznet_cli.features.objects import Layout
from ldznet_cli.features.store import Store, file_of


class CheckedOnce:
    """The tensors of a folder's objects. A file is checked when this process first reads it, and again when it has
    been replaced or written to since: by its inode, size and time. Then it is read as fast as any file."""

    def __init__(self, folder: Folder) -> None:
        self.folder, self._store = folder, Store(folder)
        # By the hash of name and stamp, because there may be a million of them.
        self._checked: dict[int, Layout] = {}
        self._layouts: dict[Layout, Layout] = {}

    def read(self, key: Key) -> dict[str, Tensor]:
        """As they are stored. Raises as `Store.read` does."""
        file = file_of(digest(key))
        data, stamp = self.folder.stamped(file)
        mark = hash((file, stamp))
        if (layout := self._checked.get(mark)) is not None:
            return objects.tensors_at(layout, data)
        found = self._store.checked(key, file, data)
        self._checked[mark] = self._layouts.setdefault(found.layout, found.layout)
        return found.tensors
