"""A job on a Ray cluster: one that is there already, or one that is started on this machine for as long as it takes.

Each worker is an actor that builds the model once and gets chunks of items as it becomes free. A worker that is lost,
alone or with its whole node, is replaced, wherever there is room; what it had in hand is done by the others meanwhile.
"""

from __future__ import annotations

import logging
import os
import socket
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic

from ldznet_cli.engines import CHUNK, Item, Job, Result, chunks
from ldznet_cli.errors import EngineError, UsageError

IN_HAND = 2
"""Chunks that a worker has: the one at work, and the next, so that it need not wait for us."""

AHEAD = 8
"""Chunks a worker that may be given out beyond the first that is not answered: what they are of, and their results,
wait in memory."""

_PATIENCE = 600.0  # seconds without an answer, after which we look whether there is a cluster left
_REACHED = 10.0  # seconds; Ray itself tries a wrong address for minutes


@dataclass(frozen=True)
class RayEngine:
    """`workers` of `threads_per_worker` CPUs and `gpus_per_worker` GPUs each; None: one GPU where the cluster has any,
    and as many workers as fit.

    `address` is Ray's: "auto", "HOST:PORT", "ray://HOST:PORT", "local"; None: RAY_ADDRESS, or else the cluster on this
    machine, or else one that is started for this run. What is in a job must mean the same on every node: paths are
    absolute, on storage that all of them see. A chunk that takes its worker with it more than `retries` times ends the
    run.
    """

    address: str | None = None
    workers: int | None = None
    gpus_per_worker: float | None = None
    threads_per_worker: int = 1
    chunk: int = CHUNK
    retries: int = 3

    def run(self, job: Job[Item, Result], items: Iterable[Item]) -> Generator[Result, None, None]:
        """As `Engine.run`. Raises EngineError when there is no cluster, no room in it, or workers are lost again and
        again; UsageError when Ray is not installed.
        """
        ray = _import_ray()
        with _connected(ray, self.address):
            count, gpus = self.room(ray)
            resources = {"num_cpus": self.threads_per_worker, "num_gpus": gpus}
            actor = ray.remote(max_restarts=0, **resources)(_Actor)
            yield from _Pool(ray, actor, job, items, self).results(count)

    def room(self, ray: Any) -> tuple[int, float]:
        """How many workers, and the GPUs of each. Raises EngineError when not one has room."""
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        cpus, gpus = (sum(node.get(kind, 0) for node in nodes) for kind in ("CPU", "GPU"))
        each = float(gpus > 0) if self.gpus_per_worker is None else self.gpus_per_worker
        room = int(sum(self._fit(node, each) for node in nodes))
        if room == 0:
            needed = f"{self.threads_per_worker} CPUs and {each:g} GPUs on one node"
            advice = "use a smaller --threads-per-worker or --gpus-per-worker, or add a node"
            raise EngineError(
                f"the Ray cluster has {cpus:g} CPUs and {gpus:g} GPUs on {len(nodes)} nodes: a worker of {needed} "
                f"has no room; {advice}"
            )
        return self.workers or room, each

    def _fit(self, node: dict[str, float], gpus: float) -> float:
        by_cpu = node.get("CPU", 0) // self.threads_per_worker
        # A little more than the quotient, for 1 // 0.2 is 4.
        return min(by_cpu, int(node.get("GPU", 0) / gpus + 1e-9)) if gpus else by_cpu


class _Actor:
    """On a worker: the job's worker, once it is started."""

    def start(self, job: Job[Any, Any]) -> None:
        self.worker = job()

    def do(self, chunk: list[Any]) -> list[Any]:
        return list(self.worker(chunk))


@dataclass
class _Chunk(Generic[Item]):
    number: int
    items: list[Item]
    lost: int = 0


@dataclass(eq=False)
class _Worker:
    """An actor, and what it was asked and has not answered yet; None is its start."""

    actor: Any
    asked: dict[Any, _Chunk[Any] | None] = field(default_factory=dict)
    started: bool = False


class _Pool:
    """The workers of one run."""

    def __init__(
        self, ray: Any, actor: Any, job: Job[Any, Any], items: Iterable[Any], engine: RayEngine
    ) -> None:
        self.ray, self.actor, self.engine = ray, actor, engine
        self.job = ray.put(job)
        self.fresh = (_Chunk(number, chunk) for number, chunk in enumerate(chunks(items, engine.chunk)))
        self.again: deque[_Chunk[Any]] = deque()
        self.given = self.told = self.lost_at_start = 0
        self.all_given = False
        self.workers: list[_Worker] = []
        self.done: dict[int, list[Any]] = {}

    def results(self, count: int) -> Iterator[Any]:
        """Those of `count` workers, in the order of the items."""
        try:
            for _ in range(count):
                self._start()
            while not (self.all_given and self.told == self.given):
                self._wait()
                while self.told in self.done:
                    yield from self.done.pop(self.told)
                    self.told += 1
                    self._feed_all()
        finally:
            for worker in self.workers:
                self.ray.kill(worker.actor)

    def _wait(self) -> None:
        """For one answer. A worker that finds no room waits for it; where there is none at all, nobody will answer."""
        asked = {ref: worker for worker in self.workers for ref in worker.asked}
        ready, _ = self.ray.wait(list(asked), num_returns=1, timeout=_PATIENCE)
        for ref in ready:
            self._answered(asked[ref], ref)
        if not ready:
            self.engine.room(self.ray)

    def _start(self) -> None:
        worker = _Worker(self.actor.remote())
        worker.asked[worker.actor.start.remote(self.job)] = None
        self.workers.append(worker)

    def _answered(self, worker: _Worker, ref: Any) -> None:
        chunk = worker.asked.pop(ref)
        try:
            results = self.ray.get(ref)
        except self.ray.exceptions.RayTaskError as error:
            raise error.cause from error  # what the job itself raised
        except self.ray.exceptions.RayError as error:
            self._lost(worker, chunk, error)
            return
        if chunk is None:
            worker.started, self.lost_at_start = True, 0
        else:
            self.done[chunk.number] = results
        self._feed(worker)

    def _feed(self, worker: _Worker) -> None:
        while worker.started and len(worker.asked) < IN_HAND and (chunk := self._next()) is not None:
            worker.asked[worker.actor.do.remote(chunk.items)] = chunk

    def _feed_all(self) -> None:
        for worker in self.workers:
            self._feed(worker)

    def _next(self) -> _Chunk[Any] | None:
        if self.again:
            return self.again.popleft()
        if self.given - self.told >= AHEAD * len(self.workers):
            return None
        chunk = next(self.fresh, None)
        self.all_given = chunk is None
        self.given += chunk is not None
        return chunk

    def _lost(self, worker: _Worker, chunk: _Chunk[Any] | None, error: Exception) -> None:
        """What it had in hand goes to the others, and to another in its place, as soon as that has room."""
        self.workers.remove(worker)
        self.ray.kill(worker.actor)  # it may only be out of reach
        hand = [chunk, *worker.asked.values()]
        self.again.extendleft(had for had in hand if had is not None)
        self.lost_at_start += None in hand
        for had in self.again:
            had.lost += had in hand
        losses = max([self.lost_at_start, *(had.lost for had in self.again)])
        if losses > self.engine.retries:
            raise EngineError(
                f"{losses} workers were lost over the same work, the last one so: {_line(error)}; what was done stays, "
                "the same command goes on"
            ) from error
        self._start()
        self._feed_all()


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _import_ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise UsageError("--engine ray needs Ray: pip install 'ldznet-cli[ray]'") from error
    return ray


@contextmanager
def _connected(ray: Any, address: str | None) -> Iterator[None]:
    """Within a connection to the cluster: the one that this process has already, or one for the time of the run."""
    if ray.is_initialized():
        yield
        return
    _require_reachable(address or os.environ.get("RAY_ADDRESS", ""))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise EngineError(f"no Ray cluster at {address or 'RAY_ADDRESS'}: {_line(error)}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _require_reachable(address: str) -> None:
    """Raises EngineError when nobody listens at HOST:PORT."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not (colon and port.isdecimal()):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACHED).close()
    except (OSError, OverflowError) as error:
        raise EngineError(
            f"no Ray cluster at {address}: {error}; `ray start --head` starts one, `ray status` shows it"
        ) from error
