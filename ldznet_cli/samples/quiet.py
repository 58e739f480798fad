"""Silence while Pillow decodes: what is wrong with an image is said once, by our own error.

Python's warnings and the process's stderr are one for all threads. So the first thread that asks for silence brings
it about and the last one that leaves ends it: `catch_warnings` alone does not nest across threads.
"""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType

logging.getLogger("PIL").addHandler(logging.NullHandler())  # else Python prints Pillow's complaints on stderr


class _Shared:
    """A context that any number of threads may be inside of; `make` is entered by the first, left by the last."""

    def __init__(self, make: Callable[[], AbstractContextManager[None]]) -> None:
        self._make, self._lock, self._inside = make, threading.Lock(), 0
        self._context = make()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._context = self._make()
                self._context.__enter__()
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._context.__exit__(None, None, None)


@contextmanager
def _warnings_off() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _stderr_off() -> Iterator[None]:
    """What C libraries write to file descriptor 2 goes nowhere; where stderr is closed nothing has to be done."""
    try:
        kept = os.dup(2)
    except OSError:
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


without_warnings = _Shared(_warnings_off)

without_stderr = _Shared(_stderr_off)
"""For libtiff alone, which prints its errors by itself: it must not be held longer than one image takes."""
