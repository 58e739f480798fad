"""Where a job over many items runs: in this process, or on workers of a Ray cluster. Same job, same results, in order.

A job is a function that makes a worker: it is called once wherever items are worked on, and loads what they all need.
A worker takes items and gives one result for each, in their order; so it may read ahead and write behind. An item may
be given out again when its worker was lost, so doing it twice must be as good as doing it once.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar, runtime_checkable

Item = TypeVar("Item")
Result = TypeVar("Result")
Worker = Callable[[Iterable[Item]], Generator[Result, None, None]]
Job = Callable[[], Worker[Item, Result]]

CHUNK = 8
"""Items that go to a worker at once: it reads ahead and writes behind within them."""


@runtime_checkable
class Engine(Protocol):
    """Where a job runs."""

    def run(self, job: Job[Item, Result], items: Iterable[Item]) -> Generator[Result, None, None]:
        """One result for each item, in order. What a worker raises is raised here, and ends the run as close() does."""
        ...


@dataclass(frozen=True)
class LocalEngine:
    """One worker, in this process."""

    def run(self, job: Job[Item, Result], items: Iterable[Item]) -> Generator[Result, None, None]:
        yield from job()(items)


@dataclass(frozen=True)
class RehearsedEngine:
    """The fake: what a cluster does to a job, in this process. Nothing runs at the same time.

    Chunks of `chunk` items go to `workers` workers in an order drawn from `seed`; each chunk whose number is in `lost`
    is stopped in the middle, with its worker, and done again by a new one.
    """

    workers: int = 2
    chunk: int = 3
    lost: tuple[int, ...] = (0,)
    seed: int = 0

    def run(self, job: Job[Item, Result], items: Iterable[Item]) -> Generator[Result, None, None]:
        drawn = random.Random(self.seed)  # noqa: S311 - which worker gets what is no secret
        workers = [job() for _ in range(self.workers)]
        todo, done = list(enumerate(chunks(items, self.chunk))), dict[int, list[Result]]()
        for number, chunk in drawn.sample(todo, len(todo)):
            index = drawn.randrange(self.workers)
            if number in self.lost:
                with closing(workers[index](chunk)) as results:
                    next(results)
                workers[index] = job()
            done[number] = list(workers[index](chunk))
        for number, _ in todo:
            yield from done[number]


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """`items` in lists of `size`, the last one perhaps shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
