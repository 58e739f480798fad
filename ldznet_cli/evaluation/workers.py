"""Who scores: this process, or several. The numbers are the same to the last digit, since sums are of whole numbers."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import cycle
from typing import Protocol, TypeVar

from ldznet_cli.errors import LdznetError
from ldznet_cli.evaluation.scoreboard import Scoreboard
from ldznet_cli.evaluation.scoring import Job, Outcome, Scoring, Settings

T = TypeVar("T")

AHEAD = 4
"""Jobs that wait for each process: enough to keep it busy, few enough to keep memory small."""


DIED = "a process of --workers died, of too little memory perhaps: give fewer of them"


class Workers(Protocol):
    """Takes jobs, gives their outcomes in the jobs' order; `Here` is the smallest one."""

    def put(self, job: Job) -> Iterator[tuple[Job, Outcome]]:
        """Hand a job in; what has come out by now, of this job and earlier ones."""

    def rest(self) -> Iterator[tuple[Job, Outcome]]:
        """Wait for all jobs that were handed in."""

    def board(self) -> Scoreboard:
        """What all have scored together, once: when nothing is under way any more."""

    def close(self) -> None:
        """Let go of processes, whatever they are at."""


class Here:
    """This process."""

    def __init__(self, settings: Settings) -> None:
        self._scoring = Scoring(settings)

    def put(self, job: Job) -> Iterator[tuple[Job, Outcome]]:
        yield job, self._scoring.score(job)

    def rest(self) -> Iterator[tuple[Job, Outcome]]:
        return iter(())

    def board(self) -> Scoreboard:
        return self._scoring.board

    def close(self) -> None:
        """There is nothing to let go."""


class Processes:
    """Several processes, each with a scoreboard of its own, merged at the end. They take jobs in turn."""

    def __init__(self, settings: Settings, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._settings = settings
        self._pools = [
            ProcessPoolExecutor(1, mp_context=context, initializer=_begin, initargs=(settings,))
            for _ in range(count)
        ]
        self._turns = cycle(self._pools)
        self._waiting: deque[tuple[Job, Future[Outcome]]] = deque()

    def put(self, job: Job) -> Iterator[tuple[Job, Outcome]]:
        self._waiting.append((job, _submit(next(self._turns), job)))
        while self._waiting[0][1].done() or len(self._waiting) > AHEAD * len(self._pools):
            yield self._first()
            if not self._waiting:
                return

    def rest(self) -> Iterator[tuple[Job, Outcome]]:
        while self._waiting:
            yield self._first()

    def board(self) -> Scoreboard:
        whole = Scoreboard(self._settings.protocols, self._settings.size, self._settings.seed)
        for pool in self._pools:
            whole.merge(_result(pool.submit(_board)))
        self.close()
        return whole

    def close(self) -> None:
        for pool in self._pools:
            pool.shutdown(cancel_futures=True)

    def _first(self) -> tuple[Job, Outcome]:
        job, future = self._waiting.popleft()
        return job, _result(future)


def _submit(pool: ProcessPoolExecutor, job: Job) -> Future[Outcome]:
    try:
        return pool.submit(_score, job)
    except BrokenProcessPool as error:
        raise LdznetError(DIED) from error


def _result(future: Future[T]) -> T:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise LdznetError(DIED) from error


_own: list[Scoring] = []
"""In a worker's process: the one that it scores with."""


def _begin(settings: Settings) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the caller's
    _own.append(Scoring(settings))


def _score(job: Job) -> Outcome:
    return _own[0].score(job)


def _board() -> Scoreboard:
    return _own[0].board
