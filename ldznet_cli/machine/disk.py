"""Space: how much is left where this package writes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from ldznet_cli.machine.finding import Finding

LEAST = 2**30
"""Bytes. A data set's features, or a model from the hub, take more than what is less than this."""


def space(folders: Mapping[str, Path]) -> list[Finding]:
    """One finding a folder: free bytes, and a problem where few are left or nothing can be written."""
    return [_space(name, folder) for name, folder in folders.items()]


def _space(name: str, folder: Path) -> Finding:
    there = _nearest(folder)
    free = shutil.disk_usage(there).free
    problem = None
    if not os.access(there, os.W_OK):
        problem = f"{folder} cannot be written to: choose another place, or change its permissions"
    elif free < LEAST:
        problem = f"{free / 2**20:.0f} MB are left at {folder}: make room"
    value = {"path": str(folder), "free": free}
    return Finding("disk", name, value, f"{free / 2**30:.1f} GiB free at {folder}", problem)


def _nearest(folder: Path) -> Path:
    """The folder, or the one above it that is there: it will be made when it is needed."""
    whole = folder.absolute()
    return next(place for place in (whole, *whole.parents) if place.is_dir())
