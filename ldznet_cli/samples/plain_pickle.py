"""Lists, dicts, words and numbers out of a pickle, and nothing else: no code can run, because nothing here calls any.

The file is not unpickled. Python's own `pickletools` takes it apart into instructions, and those that build plain
values are carried out below; any other one, and so each that names a class or a function, is refused by its name.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ldznet_cli.errors import AnnotationError, UsageError

_BROKEN = (ValueError, LookupError, TypeError, EOFError, OverflowError, MemoryError)
"""What broken bytes lead to; `AttributeError` is not among them: no method of a value is called unchecked."""


def read_plain_pickle(path: Path) -> Any:
    """The value in a pickle of any protocol, as Python 2 and 3 write it. Byte strings of Python 2 are read as UTF-8, as
    Latin-1 where they are none; in protocol 0 they have to be ASCII.

    Raises UsageError (the file cannot be read), AnnotationError (no pickle, or more than plain values in it).
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        return _Machine(path).run(content)
    except _BROKEN as error:
        raise AnnotationError(
            f"{path}: damaged, or not a pickle ({' '.join(str(error).split())[:100] or type(error).__name__})"
        ) from error


class _Machine:
    """A pickle's stack and memo. `_marks` are the places in the stack that "everything since here" begins at."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def run(self, content: bytes) -> Any:
        for opcode, argument, _ in pickletools.genops(io.BytesIO(content)):
            name = opcode.name
            if name in _VALUES:
                self._stack.append(argument)
            elif name in _BYTE_STRINGS:
                self._stack.append(_text(argument))
            elif name in _STEPS:
                _STEPS[name](self, argument)
            elif name not in _NOTHING:
                raise self._refused(name, argument)
        (value,) = self._stack
        return value

    def _refused(self, name: str, argument: object) -> AnnotationError:
        what = f"{name} {argument}" if isinstance(argument, str) else name
        return AnnotationError(
            f"{self._path}: holds more than lists, dicts, words and numbers ({ascii(what)[1:-1][:80]}): "
            "it could run code, and is not read"
        )

    def _mark(self, _: Any) -> None:
        self._marks.append(len(self._stack))

    def _since_mark(self) -> list[Any]:
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _put(self, place: int) -> None:
        self._memo[place] = self._stack[-1]

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _get(self, place: int) -> None:
        self._stack.append(self._memo[place])

    def _stop(self, _: Any) -> None:
        if self._marks:
            raise ValueError("it ends in the middle of a value")

    def _tuple_of(self, count: int) -> None:
        start = len(self._stack) - count
        self._stack[start:] = [tuple(self._stack[start:])]

    def _extend(self, items: list[Any]) -> None:
        self._top(list).extend(items)

    def _update(self, items: list[Any]) -> None:
        self._top(dict).update(_pairs(items))

    def _set(self) -> None:
        key, value = self._stack[-2:]
        del self._stack[-2:]
        self._update([key, value])

    def _top(self, kind: type) -> Any:
        if type(self._stack[-1]) is not kind:
            raise TypeError(f"a {kind.__name__} is to be filled, and there is none")
        return self._stack[-1]


def _pairs(items: list[Any]) -> dict[Any, Any]:
    return dict(zip(items[::2], items[1::2], strict=True))


def _text(argument: Any) -> str:
    """A string of Python 2: bytes, which `pickletools` gives as if each were a letter."""
    raw = argument.encode("latin-1") if isinstance(argument, str) else argument
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


_NOTHING = frozenset({"PROTO", "FRAME"})
_VALUES = frozenset(
    {
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    }
)
_BYTE_STRINGS = frozenset({"STRING", "BINSTRING", "SHORT_BINSTRING"})
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine._mark,
    "STOP": _Machine._stop,
    "NONE": lambda machine, _: machine._push(None),
    "NEWTRUE": lambda machine, _: machine._push(True),
    "NEWFALSE": lambda machine, _: machine._push(False),
    "EMPTY_LIST": lambda machine, _: machine._push([]),
    "EMPTY_DICT": lambda machine, _: machine._push({}),
    "EMPTY_TUPLE": lambda machine, _: machine._push(()),
    "LIST": lambda machine, _: machine._push(machine._since_mark()),
    "DICT": lambda machine, _: machine._push(_pairs(machine._since_mark())),
    "TUPLE": lambda machine, _: machine._push(tuple(machine._since_mark())),
    "TUPLE1": lambda machine, _: machine._tuple_of(1),
    "TUPLE2": lambda machine, _: machine._tuple_of(2),
    "TUPLE3": lambda machine, _: machine._tuple_of(3),
    "APPEND": lambda machine, _: machine._extend([machine._stack.pop()]),
    "APPENDS": lambda machine, _: machine._extend(machine._since_mark()),
    "SETITEM": lambda machine, _: machine._set(),
    "SETITEMS": lambda machine, _: machine._update(machine._since_mark()),
    "PUT": _Machine._put,
    "BINPUT": _Machine._put,
    "LONG_BINPUT": _Machine._put,
    "MEMOIZE": _Machine._memoize,
    "GET": _Machine._get,
    "BINGET": _Machine._get,
    "LONG_BINGET": _Machine._get,
}
