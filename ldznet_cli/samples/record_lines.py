"""A file of records as it grows: what a later line says of the same mask is what holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path


def latest_lines(path: Path) -> Iterator[bytes]:
    """The lines of the file; one whose image and label a later line has again comes as an empty line, so that numbers
    of lines are the file's. What is added meanwhile is left for the next time. Raises OSError."""
    last: dict[int, int] = {}
    replaced: set[int] = set()
    count = 0
    with path.open("rb") as file:
        for count, line in enumerate(file, start=1):
            if (key := _key(line)) is not None:
                if key in last:
                    replaced.add(last[key])
                last[key] = count
        file.seek(0)
        for number, line in enumerate(islice(file, count), start=1):
            yield b"\n" if number in replaced else line


def _key(line: bytes) -> int | None:
    """By which records of one mask know each other; None for a line that is no record."""
    try:
        record = json.loads(line)
        return hash((record["image"]["name"], record["label"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
