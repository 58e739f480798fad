"""`records.jsonl` as it grows: every record is found by its key, and only its place in the file is kept in memory."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from ldznet_cli.errors import AnnotationError, LdznetError
from ldznet_cli.samples.atomic import not_written, open_atomically
from ldznet_cli.samples.record import Record, parse, to_json

Key = tuple[str, str]
"""The image's name and the label: what the files of a record are called by."""


class RecordFile:
    """The records in a file; of several with one key, the last. What is kept of each takes some 150 bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[int, int] = {}
        """From the hash of a key to the first byte of its line; the line itself tells whose it is."""
        self._failed: set[int] = set()

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: Key) -> bool:
        return hash(key) in self._places

    def failed(self, key: Key) -> bool:
        """Whether this record tells of an error."""
        return hash(key) in self._failed

    def open(self, settings: str) -> int:
        """Take up what is there with this digest of settings, and let the rest go: how many records that was.

        Raises LdznetError for a file that cannot be read or written.
        """
        if not self.path.exists():
            return 0
        left_out = 0
        with open_atomically(self.path) as file:
            for line, record in _lines(self.path):
                if record.settings == settings:
                    self._write(file, line, hash(key_of(record)), failed=record.error is not None)
                else:
                    left_out += 1
        return left_out

    def get(self, key: Key) -> Record | None:
        """The record of this key, read from the file."""
        return next(self.each([key]), None)

    def each(self, keys: Iterable[Key]) -> Iterator[Record]:
        """The records of these keys, in this order, as far as they are there."""
        with suppress(FileNotFoundError), self.path.open("rb") as file:
            for key in keys:
                place = self._places.get(hash(key))
                if place is not None:
                    file.seek(place)
                    record = parse(file.readline().decode())
                    if key_of(record) == key:
                        yield record

    def append(self, record: Record) -> None:
        """Add one line; a line that does not fit on the disk is taken back. Raises DiskFull, LdznetError."""
        key = hash(key_of(record))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab", buffering=0) as file:
                place = _append(file, (to_json(record) + "\n").encode())
        except OSError as error:
            raise not_written(self.path, error) from error
        self._place(key, place, failed=record.error is not None)

    def forget(self, key: Key) -> None:
        """Let a record go: its line stays until the file is next written."""
        self._places.pop(hash(key), None)
        self._failed.discard(hash(key))

    def sort(self, planned: Iterable[Key], failures: Path) -> None:
        """Put the records of these keys first, in this order, and all others after them; `failures` gets those with
        `error`, or goes where there are none."""
        places, failed = self._places, self._failed
        if self.path.exists():
            self._places, self._failed = {}, set()
            with self.path.open("rb") as old, open_atomically(self.path) as new:
                for key in chain((hash(key) for key in planned), places):
                    if (place := places.get(key)) is not None and key not in self._places:
                        old.seek(place)
                        self._write(new, old.readline(), key, failed=key in failed)
        self._tell_failures(failures)

    def _tell_failures(self, failures: Path) -> None:
        if not self._failed:
            failures.unlink(missing_ok=True)
            return
        with self.path.open("rb") as records, open_atomically(failures) as file:
            for key, place in self._places.items():
                if key in self._failed:
                    records.seek(place)
                    file.write(records.readline())

    def _write(self, file: BinaryIO, line: bytes, key: int, *, failed: bool) -> None:
        self._place(key, file.tell(), failed=failed)
        file.write(line)

    def _place(self, key: int, place: int, *, failed: bool) -> None:
        self._places[key] = place
        (self._failed.add if failed else self._failed.discard)(key)


def key_of(record: Record) -> Key:
    """What the record is found by."""
    return record.image.name, record.label


def read_records(path: Path) -> Iterator[Record]:
    """The records of a file, none where it is not there. A line that is none (the last one of a run that was killed) is
    left out: what it told of is made anew. Raises LdznetError."""
    return (record for _, record in _lines(path))


def _lines(path: Path) -> Iterator[tuple[bytes, Record]]:
    try:
        with path.open("rb") as file:
            for line in file:
                with suppress(AnnotationError, UnicodeDecodeError):
                    record = parse(line.decode())
                    yield line.rstrip(b"\n") + b"\n", record
    except FileNotFoundError:
        return
    except OSError as error:
        raise LdznetError(f"{path}: cannot be read ({error.strerror}): name another --out") from error


def _append(file: Any, line: bytes) -> int:
    """Where the line begins. Unbuffered: what the disk did not take is known at once, what it took is cut off again."""
    start = file.seek(0, 2)
    try:
        written = file.write(line)
        if written != len(line):
            raise OSError(errno.ENOSPC, "no space left on the device")
    except OSError:
        with suppress(OSError):  # the first fault is the one to tell of
            file.truncate(start)
        raise
    return int(start)
