"""A limit on this process's memory, which the operating system enforces."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def memory_of(room: int) -> Iterator[None]:
    """So many bytes more than there are now, and no more: what asks for them gets a MemoryError."""
    resource = pytest.importorskip("resource", reason="no limits on memory on this system")
    status = Path("/proc/self/statm")
    if not status.is_file():  # the address space of macOS has no limit that is kept
        yield
        return
    used = int(status.read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
