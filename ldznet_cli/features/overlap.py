"""Reading, computing and writing at the same time, in order, with little waiting in memory between them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import BoundedSemaphore
from typing import Generic, TypeVar

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")
Part = TypeVar("Part")
Saved = TypeVar("Saved")
Value = TypeVar("Value")

READERS = 2
"""Threads that read and decode: Pillow decodes without holding Python back."""

WRITERS = 4
"""Threads that write: most of their time they wait for the disk to say that it has the data."""


@dataclass
class Overlap(Generic[Item, Loaded, Part, Saved]):
    """`load` in threads, `compute` in the caller's thread, `save` in other threads.

    `compute` yields the parts of what it was given one by one, `save` tells what came of it. `ahead` items at most lie
    loaded. While one is computed only the one before it may still be in saving, and `behind` parts at most: so a kill
    costs what is just being computed, and what of the item before is not on the disk. `waited` counts the seconds that
    computing stood still for want of input, or because nothing more could be put down.
    """

    load: Callable[[Item], Loaded]
    compute: Callable[[Loaded], Iterable[Part]]
    save: Callable[[Part], Saved]
    ahead: int = 4
    behind: int = 8
    waited: float = field(default=0.0, init=False)

    def run(self, items: Iterable[Item]) -> Iterator[tuple[Loaded, list[Saved]]]:
        """For each item in order, once all of it is saved: what was loaded, and what came of saving each part.

        An exception of any of the three ends the run, as does closing the iterator: what is computed is saved first,
        what is only loaded is dropped.
        """
        reader, writer = ThreadPoolExecutor(READERS, "load"), ThreadPoolExecutor(WRITERS, "save")
        slots = BoundedSemaphore(self.behind)
        before: tuple[Loaded, list[Future[Saved]]] | None = None
        try:
            for loading in loading_ahead(reader, self.load, items, self.ahead):
                loaded = self._wait(loading.result)
                saving = [self._save(writer, slots, part) for part in self.compute(loaded)]
                if before is not None:
                    yield before[0], self._wait_for(before[1])
                before = loaded, saving
            if before is not None:
                yield before[0], self._wait_for(before[1])
        finally:
            reader.shutdown(wait=True, cancel_futures=True)
            writer.shutdown(wait=True)

    def _save(self, writer: ThreadPoolExecutor, slots: BoundedSemaphore, part: Part) -> Future[Saved]:
        self._wait(slots.acquire)
        future = writer.submit(self.save, part)
        future.add_done_callback(lambda _: slots.release())
        return future

    def _wait_for(self, writes: list[Future[Saved]]) -> list[Saved]:
        return [self._wait(write.result) for write in writes]

    def _wait(self, ready: Callable[[], Value]) -> Value:
        began = time.perf_counter()
        try:
            return ready()
        finally:
            self.waited += time.perf_counter() - began


def loading_ahead(
    reader: ThreadPoolExecutor, load: Callable[[Item], Loaded], items: Iterable[Item], ahead: int
) -> Iterator[Future[Loaded]]:
    """`load` of each item, in order, begun while those before it are looked at; never more than `ahead` of them."""
    waiting: deque[Future[Loaded]] = deque()
    for item in items:
        waiting.append(reader.submit(load, item))
        if len(waiting) > ahead:
            yield waiting.popleft()
    yield from waiting
