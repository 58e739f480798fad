"""Which place a path or a URL names."""

from __future__ import annotations

from pathlib import Path

from ldznet_cli.features.folder import Folder
from ldznet_cli.features.place import Place
from ldznet_cli.features.remote import Remote


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
    return Remote(where)
