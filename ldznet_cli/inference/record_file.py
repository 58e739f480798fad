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
from ldznet_cli.samples.record_lines import latest_lines

Key = tuple[str, str]
"""The image's name and the label: what the files of a record are called by."""


class RecordFile:
    """The records in a file; of several with one key, the last. What is kept of each takes some 150 bytes.

    Records of other settings than those that it was opened for are kept, too, until one with their key is appended.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[int, int] = {}
        """From the hash of a key to the first byte of its line; the line itself tells whose it is."""
        self._failed: set[int] = set()
        self._others: dict[int, dict[int, int]] = {}
        """Of other settings, by the hash of the image's name: the same."""
        self._unended: int | None = None
        self._seen = _stamp(path)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: Key) -> bool:
        return hash(key) in self._places

    @property
    def left_out(self) -> int:
        """How many records are those of other settings."""
        return sum(map(len, self._others.values()))

    def failed(self, key: Key) -> bool:
        """Whether this record tells of an error."""
        return hash(key) in self._failed

    def open(self, settings: str) -> None:
        """Take up what is there, the records with this digest of settings apart from the rest. Writes nothing.

        Raises LdznetError for a file that cannot be read.
        """
        self._places, self._failed, self._others = {}, set(), {}
        self._unended, self._seen = None, _stamp(self.path)
        for place, line in _lines(self.path):
            self._unended = None if line.endswith(b"\n") else place
            if (record := _parsed(line)) is not None:
                self._take(record, place, own=record.settings == settings)

    def changed(self) -> bool:
        """Whether somebody has written the file since it was opened."""
        return _stamp(self.path) != self._seen

    def mend(self) -> None:
        """Cut off the last line where the run that wrote it was killed in it. Raises DiskFull, LdznetError."""
        if self._unended is None:
            return
        try:
            with self.path.open("rb+") as file:
                file.seek(self._unended)
                if _parsed(file.readline()) is None:
                    file.truncate(self._unended)
                else:
                    file.write(b"\n")
        except OSError as error:
            raise not_written(self.path, error) from error
        self._unended = None

    def get(self, key: Key) -> Record | None:
        """The record of this key, read from the file."""
        return next(self.each([key]), None)

    def latest(self, key: Key) -> Record | None:
        """The record of this key, whatever settings it is of."""
        place = self._others.get(hash(key[0]), {}).get(hash(key), self._places.get(hash(key)))
        return None if place is None else next(self._at([(key, place)]), None)

    def each(self, keys: Iterable[Key]) -> Iterator[Record]:
        """The records of these keys, in this order, as far as they are there."""
        return self._at((key, place) for key in keys if (place := self._places.get(hash(key))) is not None)

    def failures(self) -> Iterator[Record]:
        """The records with `error`."""
        with suppress(FileNotFoundError), self.path.open("rb") as file:
            for key in self._failed:
                file.seek(self._places[key])
                yield parse(file.readline().decode())

    def append(self, record: Record) -> None:
        """Add one line; a line that does not fit on the disk is taken back. Raises DiskFull, LdznetError."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab", buffering=0) as file:
                place = _append(file, (to_json(record) + "\n").encode())
        except OSError as error:
            raise not_written(self.path, error) from error
        self._take(record, place, own=True)

    def forget(self, key: Key) -> None:
        """Let a record go: its line stays until the file is next written."""
        self._places.pop(hash(key), None)
        self._failed.discard(hash(key))

    def forget_others(self, image: str) -> None:
        """Let the image's records of other settings go."""
        self._others.pop(hash(image), None)

    def sort(self, planned: Iterable[Key], failures: Path) -> None:
        """Put the records of these keys first, in this order, and all others after them; `failures` gets those with
        `error`, or goes where there are none."""
        if self.path.exists():
            self._rewrite(hash(key) for key in planned)
        self._tell_failures(failures)

    def _rewrite(self, planned: Iterable[int]) -> None:
        places, others = self._places, self._others
        self._places, self._others = {}, {}
        # The old file is closed before the new one takes its place: Windows replaces nothing that is open.
        with open_atomically(self.path) as new, self.path.open("rb") as old:
            for key in chain(planned, places):
                if (place := places.get(key)) is not None and key not in self._places:
                    self._places[key] = _copied(old, place, new)
            for image, kept in others.items():
                self._others[image] = {key: _copied(old, place, new) for key, place in kept.items()}

    def _tell_failures(self, failures: Path) -> None:
        if not self._failed:
            failures.unlink(missing_ok=True)
            return
        with open_atomically(failures) as file, self.path.open("rb") as records:
            for key, place in self._places.items():
                if key in self._failed:
                    _copied(records, place, file)

    def _take(self, record: Record, place: int, *, own: bool) -> None:
        image, key = hash(record.image.name), hash(key_of(record))
        if not own:
            self.forget(key_of(record))
            self._others.setdefault(image, {})[key] = place
            return
        self._places[key] = place
        (self._failed.discard if record.error is None else self._failed.add)(key)
        if image in self._others:
            self._others[image].pop(key, None)

    def _at(self, places: Iterable[tuple[Key, int]]) -> Iterator[Record]:
        with suppress(FileNotFoundError), self.path.open("rb") as file:
            for key, place in places:
                file.seek(place)
                record = parse(file.readline().decode())
                if key_of(record) == key:
                    yield record


def key_of(record: Record) -> Key:
    """What the record is found by."""
    return record.image.name, record.label


def read_records(path: Path) -> Iterator[Record]:
    """The records of a file, none where it is not there. A line that is none (the last one of a run that was killed) is
    left out: what it told of is made anew. Raises LdznetError."""
    return (record for _, line in _lines(path) if (record := _parsed(line)) is not None)


def latest_records(path: Path) -> Iterator[Record]:
    """The same, of several of one image and label the last, as `RecordFile` has them."""
    if path.exists():
        yield from (record for line in latest_lines(path) if (record := _parsed(line)) is not None)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Each line with the place of its first byte."""
    place = 0
    try:
        with path.open("rb") as file:
            for line in file:
                yield place, line
                place += len(line)
    except FileNotFoundError:
        return
    except OSError as error:
        raise LdznetError(f"{path}: cannot be read ({error.strerror}): name another --out") from error


def _parsed(line: bytes) -> Record | None:
    try:
        return parse(line.decode())
    except (AnnotationError, UnicodeDecodeError):
        return None


def _copied(source: BinaryIO, place: int, file: BinaryIO) -> int:
    """Where the line that begins at `place` begins in the file that it is copied to."""
    source.seek(place)
    there = file.tell()
    file.write(source.readline())
    return there


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What differs when a file has been written."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


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
