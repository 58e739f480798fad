"""The fields of a JSON object that somebody else wrote, read with their types checked."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, TypeGuard

from ldznet_cli.errors import AnnotationError

Id = int | str


@dataclass(frozen=True)
class Fields:
    """A JSON object and its name for messages. Readers raise AnnotationError: where, which field, what it holds."""

    data: Mapping[str, Any]
    where: str

    @classmethod
    def of(cls, value: object, where: str) -> Fields:
        """The fields of `value`, which has to be a JSON object."""
        if not isinstance(value, dict):
            raise AnnotationError(f"{where} is {_shown(value)}: expected an object, {{…}}")
        return cls(value, where)

    def get(self, name: str) -> Any:
        return self.data.get(name)

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self.data.get(name) is not None

    def text(self, name: str) -> str:
        value = self._required(name)
        if not isinstance(value, str):
            raise self.wrong(name, "a string")
        return value

    def text_or_none(self, name: str) -> str | None:
        return self.text(name) if self.has(name) else None

    def whole(self, name: str) -> int:
        value = self._required(name)
        if not is_whole(value):
            raise self.wrong(name, "a whole number")
        return value

    def whole_or_none(self, name: str) -> int | None:
        return self.whole(name) if self.has(name) else None

    def number_or_none(self, name: str) -> float | None:
        value = self.data.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not _finite(value):
            raise self.wrong(name, "a finite number")
        return float(value)

    def flag(self, name: str) -> bool:
        """0, 1, false or true; not there is 0."""
        value = self.data.get(name)
        if value is not None and not (isinstance(value, int) and value in (0, 1)):
            raise self.wrong(name, "0 or 1")
        return bool(value)

    def id(self, name: str) -> Id:
        """An identifier: a whole number or a string (1 and "1" are two)."""
        value = self._required(name)
        if is_whole(value) or isinstance(value, str):
            return value
        raise self.wrong(name, "a whole number or a string")

    def wholes(self, name: str, count: int) -> tuple[int, ...]:
        value = self._required(name)
        if not isinstance(value, list) or len(value) != count or not all(map(is_whole, value)):
            raise self.wrong(name, f"a list of {count} whole numbers")
        return tuple(value)

    def object(self, name: str) -> Fields:
        return Fields.of(self._required(name), f"{self.where}: {name}")

    def objects(self, name: str) -> tuple[Fields, ...]:
        value = self._required(name)
        if not isinstance(value, list):
            raise self.wrong(name, "a list")
        return tuple(Fields.of(item, f"{self.where}: {name}[{i}]") for i, item in enumerate(value))

    def entries(self, name: str, kind: str) -> tuple[Fields, ...]:
        """The objects of a list, each called `kind` and its id in messages."""
        return tuple(
            Fields(entry.data, f"{self.where}: {kind} {_id_or_place(entry, place)}")
            for place, entry in enumerate(self.objects(name))
        )

    def wrong(self, name: str, expected: str) -> AnnotationError:
        return AnnotationError(f"{self.where}: {name} is {_shown(self.data.get(name))}: expected {expected}")

    def _required(self, name: str) -> Any:
        if self.data.get(name) is None:
            raise AnnotationError(f"{self.where}: {name} is missing")
        return self.data[name]


def require_unique(ids: Iterable[Id], what: str) -> None:
    """Raises AnnotationError for the first id that occurs twice; `what` is the file and the kind of entry."""
    seen: set[Id] = set()
    for key in ids:
        if key in seen:
            raise AnnotationError(f"{what} {_shown(key)} occurs twice: ids have to be unique")
        seen.add(key)


def refuse_constant(constant: str) -> float:
    """A `parse_constant` for Python's JSON reader, which by itself takes NaN and Infinity. Raises ValueError."""
    raise ValueError(f"{constant} is not a JSON number")


def is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _finite(value: float) -> bool:
    try:
        return isfinite(value)
    except OverflowError:  # a whole number beyond any float
        return False


def _id_or_place(entry: Fields, place: int) -> str:
    return _shown(entry.get("id")) if entry.has("id") else f"at position {place}"


def _shown(value: object) -> str:
    """A value as it would stand in JSON, short enough for one line, however large and deep it is."""
    whole = not isinstance(value, list | dict | tuple)
    text = ascii(value) if whole else reprlib.repr(value).encode("ascii", "backslashreplace").decode()
    return text if len(text) <= 60 else text[:57] + "…"
