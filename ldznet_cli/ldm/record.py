"""What a model folder that `ldznet weights` wrote remembers (`ldznet.json`): where it came from, each file's hash."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ldznet_cli.errors import ModelError
from ldznet_cli.ldm.folder import read_json

FORMAT = "ldznet.ldm/1"
RECORD = "ldznet.json"
_LOADED = (".safetensors", ".json", ".txt")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class LdmRecord:
    """`source`: where the weights are from, free words by name; `files`: SHA-256 by path inside the folder."""

    source: dict[str, Any]
    files: dict[str, str]


def write_record(folder: Path, source: Mapping[str, Any]) -> None:
    """Hashes every file in `folder` and puts the record beside them."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = {path.relative_to(folder).as_posix(): sha256_of(path) for path in paths}
    record = {"format": FORMAT, "source": dict(source), "files": files}
    (folder / RECORD).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", "utf-8")


def read_record(folder: Path) -> LdmRecord | None:
    """The record of a folder; None where there is none. Raises ModelError for one that is damaged."""
    path = folder / RECORD
    if not path.is_file():
        return None
    data = read_json(path)
    if data.get("format") != FORMAT:
        raise ModelError(f"{path}: its format is {data.get('format')!r}, expected {FORMAT!r}")
    source, files = data.get("source"), data.get("files")
    if not isinstance(source, dict) or not isinstance(files, dict):
        raise ModelError(f"{path}: expected the objects source and files; restore the file")
    return LdmRecord(source, files)


def verify(folder: Path) -> dict[str, str]:
    """SHA-256 of each file, read anew, against the record, or against what the hub's cache calls its files.

    Raises ModelError naming every file that is missing, another, or not in the record though it might be loaded, and
    for a folder without recorded hashes.
    """
    record = read_record(folder)
    expected = record.files if record else _hub_files(folder)
    if not expected:
        raise ModelError(
            f"{folder}: no hashes are recorded in it; folders of `ldznet weights` and of the hub's cache have them"
        )
    return check_files(folder, expected, RECORD if record else "the hub's cache", _unnamed(folder, record))


def _unnamed(folder: Path, record: LdmRecord | None) -> list[str]:
    """What might be loaded, but is not in the record of a folder that has one."""
    if record is None:
        return []
    there = (path for path in sorted(folder.rglob("*")) if path.suffix in _LOADED and path.is_file())
    names = (path.relative_to(folder).as_posix() for path in there)
    return [name for name in names if name != RECORD and name not in record.files]


def check_files(
    folder: Path, expected: Mapping[str, str], said_by: str, unnamed: Iterable[str] = ()
) -> dict[str, str]:
    """The hashes of the files, if they are as expected and there are no `unnamed` ones. Raises ModelError."""
    wrong = [f"{name} is there, though {said_by} does not name it" for name in unnamed]
    for name, digest in expected.items():
        path = folder / name
        if not path.is_file():
            wrong.append(f"{name} is missing")
        elif (found := sha256_of(path)) != digest:
            wrong.append(f"{name}: its hash is {found[:12]}, expected {digest!s:.12}")
    if wrong:
        raise ModelError(f"{folder} is not as {said_by} says: {'; '.join(wrong)}; restore what is named")
    return dict(expected)


def sha256_of(path: Path) -> str:
    """Of the file's bytes, read anew."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hub_files(folder: Path) -> dict[str, str]:
    """The large files of a snapshot in the hub's cache: links to blobs that are named by their SHA-256."""
    links = sorted(path for path in folder.rglob("*") if path.is_symlink())
    blobs = {link.relative_to(folder).as_posix(): link.readlink().name for link in links}
    return {name: blob for name, blob in blobs.items() if _SHA256.fullmatch(blob)}
