"""A large JSON file, one entry at a time: memory holds an entry and a piece of the file, never the whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from ldznet_cli.errors import AnnotationError, UsageError
from ldznet_cli.samples.fields import refuse_constant

_PIECE = 2**20
"""Characters that are read at a time; more where one entry is longer."""

_WHITE = " \t\n\r"
_ENDS = frozenset(_WHITE + ",:]}")
"""What stands behind a value that is whole: a number may go on behind what was read."""

_TOUCHED = 16
"""A fault that lies further from the end of what was read is none of the cut: no token but a string is longer."""


def json_entries(path: Path) -> Iterator[tuple[str, Any]]:
    """("", entry) for each entry of a file that is one list; of one that is an object, (key, entry) for each entry of
    each list in it, and (key, value) for whatever else it holds.

    Raises UsageError (the file cannot be read), AnnotationError (not JSON: which entry of which list).
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from _Reader(file, path).entries()
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{path}: not UTF-8 text: is it the right file?") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error


class _Reader:
    """What has been read of a file and not yet been given out: `_text` from `_place` on."""

    def __init__(self, file: TextIO, path: Path) -> None:
        self._file, self._path = file, path
        self._text, self._place, self._whole = "", 0, False
        self._where = "at its start"
        self._decoder = json.JSONDecoder(parse_constant=refuse_constant)

    def entries(self) -> Iterator[tuple[str, Any]]:
        if self._next() == "[":
            yield from self._list("")
        elif self._next() == "{":
            yield from self._object()
        else:
            raise self._fault("expected a list or an object")
        if self._next():
            raise self._fault("something follows after its end")

    def _object(self) -> Iterator[tuple[str, Any]]:
        for _ in self._members("{", "}"):
            key = self._value()
            if not isinstance(key, str) or self._next() != ":":
                raise self._fault("expected a name and ':'")
            self._place += 1
            if self._next() == "[":
                yield from self._list(key)
            else:
                yield key, self._value()

    def _list(self, key: str) -> Iterator[tuple[str, Any]]:
        for number, _ in enumerate(self._members("[", "]")):
            self._where = f"in {key + ', ' if key else ''}entry {number}"
            yield key, self._value()

    def _members(self, opening: str, closing: str) -> Iterator[None]:
        """Stands at the start of each member in turn; its reader has to leave off behind it."""
        assert self._next() == opening
        self._place += 1
        if self._next() == closing:
            self._place += 1
            return
        while True:
            yield
            found = self._next()
            self._place += 1
            if found == closing:
                return
            if found != ",":
                raise self._fault(f"expected ',' or '{closing}'")

    def _value(self) -> Any:
        """The value that begins here: one that may go on behind what was read is tried again with more."""
        self._next()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._place)
            except json.JSONDecodeError as error:
                if self._whole or not self._is_cut(error):
                    raise self._fault(error.msg) from error
            except (ValueError, RecursionError) as error:
                raise self._fault(str(error)) from error
            else:
                if self._whole or self._text[end : end + 1] in _ENDS:
                    self._place = end
                    return value
            self._more()

    def _is_cut(self, error: json.JSONDecodeError) -> bool:
        return error.msg.startswith("Unterminated string") or error.pos > len(self._text) - _TOUCHED

    def _next(self) -> str:
        """The next character that is not white space, which stays to be read; "" at the file's end."""
        while True:
            while self._place < len(self._text):
                if self._text[self._place] not in _WHITE:
                    return self._text[self._place]
                self._place += 1
            if self._whole:
                return ""
            self._more()

    def _more(self) -> None:
        """At least double of what is waiting, so that long entries are not tried too often."""
        rest = self._text[self._place :]
        piece = self._file.read(max(_PIECE, len(rest)))
        self._text, self._place, self._whole = rest + piece, 0, not piece

    def _fault(self, reason: str) -> AnnotationError:
        return AnnotationError(
            f"{self._path}: not JSON {self._where} ({reason}): is it the right, whole file?"
        )
