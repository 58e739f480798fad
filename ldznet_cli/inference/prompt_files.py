"""Prompts from files: one a line for all images, or rows that give each image its own (JSON lines, CSV, TSV)."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ldznet_cli.errors import NothingToDo, UsageError
from ldznet_cli.inference.prompts import Prompt, Task, distinct
from ldznet_cli.samples.listing import ImageRef

ROW_SUFFIXES = (".jsonl", ".ndjson", ".csv", ".tsv")
"""Files of rows; "-" is JSON lines on standard input. Every other file of prompts is COCO-style annotations."""

_DELIMITERS = {".csv": ",", ".tsv": "\t"}

Row = tuple[int, Mapping[str, Any]]


def read_prompts(path: Path) -> list[str]:
    """The lines of a prompts file, without empty ones and those that begin with '#'.

    Raises UsageError when the file cannot be read, or holds no prompt.
    """
    lines = [line.strip() for line in _text(path).splitlines()]
    prompts = [line for line in lines if line and not line.startswith("#")]
    if not prompts:
        raise UsageError(f"{path} holds no prompt: write one a line, as in: lamp=light")
    return prompts


def is_rows(path: Path) -> bool:
    """Whether prompts are to be read from this file as rows."""
    return str(path) == "-" or path.suffix.lower() in ROW_SUFFIXES


def read_rows(
    path: Path, stdin: Iterable[str], folder: Path | None = None, negatives: Sequence[str] = ()
) -> list[Task]:
    """A task for each image of the rows, images and prompts in the order in which they come.

    A row has `image`, a path below `folder` (by default the file's own, the working folder for standard input), and
    `prompt`, as after --prompt; it may have `label` and `negative` (in JSON also a list). Further columns are ignored.
    Raises UsageError naming the line, NothingToDo for no rows.
    """
    name = "standard input" if str(path) == "-" else str(path)
    text = _streamed(stdin) if str(path) == "-" else _text(path)
    rows = (
        _table(text, _DELIMITERS[path.suffix.lower()]) if path.suffix.lower() in _DELIMITERS else _lines(text)
    )
    asked: dict[str, list[Prompt]] = {}
    for image, prompt in _read(rows, negatives, name):
        asked.setdefault(os.path.normpath(image), []).append(prompt)
    if not asked:
        raise NothingToDo(f"{name} has no row: expected image and prompt in each")
    refs = _named(list(asked), folder or path.parent)
    return [Task(ref, distinct(prompts)) for ref, prompts in zip(refs, asked.values(), strict=True)]


def _read(rows: Iterable[Row], negatives: Sequence[str], name: str) -> Iterator[tuple[str, Prompt]]:
    try:
        for line, row in rows:  # noqa: B007 (named in the errors)
            yield _filled(row, "image"), _prompt(row, negatives)
    except UsageError as error:
        raise UsageError(f"{name}, line {line}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name}: not rows that can be read ({error})") from error


def _prompt(row: Mapping[str, Any], negatives: Sequence[str]) -> Prompt:
    text, label = _filled(row, "prompt"), row.get("label") or ""
    own = row.get("negative") or []
    own = own.split("|") if isinstance(own, str) else own
    if (
        not isinstance(label, str)
        or not isinstance(own, list)
        or not all(isinstance(word, str) for word in own)
    ):
        raise UsageError("label and negative are texts (negative may be a list of them)")
    return Prompt.of(text, [*negatives, *own], label=label or None)


def _filled(row: Mapping[str, Any], field: str) -> str:
    value = row.get(field)
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"no {field}: expected a row with image and prompt, found {sorted(map(str, row))}")
    return value


def _lines(text: str) -> Iterator[Row]:
    # Not `splitlines`: U+2028 and its like end a line of text, but may stand in JSON's strings.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error
            if not isinstance(row, dict):
                raise ValueError(f"line {number}: expected an object, {{…}}")
            yield number, row


def _table(text: str, delimiter: str) -> Iterator[Row]:
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from error


def _named(images: Sequence[str], folder: Path) -> list[ImageRef]:
    """Names below the folder; where some image lies elsewhere, below what all have in common."""
    paths = [os.path.normpath(folder / image) for image in images]
    places = [os.path.abspath(path) for path in paths]  # noqa: PTH100 (lexical)
    root = os.path.abspath(folder)  # noqa: PTH100
    if not all(place.startswith(os.path.join(root, "")) for place in places):  # noqa: PTH118
        root = os.path.commonpath([os.path.dirname(place) for place in places])  # noqa: PTH120
    return [
        ImageRef(Path(path), Path(place).relative_to(root).as_posix())
        for path, place in zip(paths, places, strict=True)
    ]


def _streamed(stdin: Iterable[str]) -> str:
    try:
        return "".join(stdin)
    except UnicodeDecodeError as error:
        raise UsageError("standard input: cannot be read (not UTF-8 text)") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UsageError(f"{path}: cannot be read ({reason})") from error
