"""A model folder that is whole or not there: filled under another name beside its place, then renamed."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ldznet_cli.errors import UsageError
from ldznet_cli.ldm.tensor_file import writing


def refuse_filled(out: Path) -> None:
    """Raises UsageError when something is at `out` already: gigabytes are not written over without being asked. The
    folder that we work in cannot be replaced, were it empty."""
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise UsageError(f"--out: {out} is there already; name a new folder, or remove it")
    if out.is_dir() and out.samefile(Path.cwd()):
        raise UsageError(f"--out: {out} is the working folder itself; name a new folder in it")


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A new folder to fill, which is `out` once the block has ended well; else nothing is left.

    Raises UsageError as `refuse_filled`, DiskFull, ModelError.
    """
    refuse_filled(out)
    out = out.absolute()
    part = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
    try:
        with writing(out):
            part.mkdir(parents=True)
            yield part
            for path in part.rglob("*"):
                _flush(path)
            if out.is_dir():
                out.rmdir()
            part.replace(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _flush(path: Path) -> None:
    if path.is_file():
        with path.open("rb") as file:
            os.fsync(file.fileno())
