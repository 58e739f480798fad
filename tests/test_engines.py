"""Where a job runs changes nothing of what comes out. (The real Ray is in tests/faults/test_ray.py.)"""

from __future__ import annotations

import builtins
import socket
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldznet_cli.engines import Engine, LocalEngine, RehearsedEngine, chunks
from ldznet_cli.errors import EngineError, UsageError
from ldznet_cli.ray_engine import AHEAD, IN_HAND, RayEngine, _Pool


@dataclass
class Squares:
    """A job that keeps a book of what is done with it."""

    workers: int = 0
    begun: list[int] = field(default_factory=list)

    def __call__(self) -> Any:
        self.workers += 1
        return self._work

    def _work(self, items: Iterable[int]) -> Generator[int, None, None]:
        for item in items:
            self.begun.append(item)
            if item < 0:
                raise ValueError(f"no root: {item}")
            yield item * item


ENGINES = [LocalEngine(), RehearsedEngine(), RehearsedEngine(workers=5, chunk=1, lost=(0, 1, 2), seed=7)]


@pytest.mark.parametrize("engine", ENGINES, ids=repr)
def test_results_come_in_the_order_of_the_items(engine: Engine) -> None:
    assert isinstance(engine, Engine)
    assert list(engine.run(Squares(), range(20))) == [item * item for item in range(20)]
    assert list(engine.run(Squares(), [])) == []


@pytest.mark.parametrize("engine", ENGINES, ids=repr)
def test_what_a_worker_raises_is_raised(engine: Engine) -> None:
    with pytest.raises(ValueError, match="no root: -3"):
        list(engine.run(Squares(), [1, 2, -3, 4]))


def test_local_work_is_done_as_results_are_taken() -> None:
    job = Squares()
    results = LocalEngine().run(job, range(10))
    assert (next(results), next(results)) == (0, 1)
    results.close()
    assert (job.workers, job.begun) == (1, [0, 1])


def test_the_rehearsal_loses_workers_and_does_their_chunks_again() -> None:
    job = Squares()
    assert list(RehearsedEngine(workers=3, chunk=4, lost=(0, 2)).run(job, range(12))) == [
        i * i for i in range(12)
    ]
    assert job.workers == 3 + 2
    assert sorted(job.begun) == sorted([*range(12), 0, 8])
    assert job.begun != sorted(job.begun)


@given(st.lists(st.integers()), st.integers(1, 9))
def test_chunks_are_the_items(items: list[int], size: int) -> None:
    found = list(chunks(iter(items), size))
    assert [item for chunk in found for item in chunk] == items
    assert all(len(chunk) == size for chunk in found[:-1])
    assert all(found)


def test_without_ray_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without_ray(name: str, *rest: Any, **named: Any) -> Any:
        if name == "ray":
            raise ImportError(name)
        return original(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without_ray)
    with pytest.raises(UsageError, match=r"pip install 'ldznet-cli\[ray\]'"):
        list(RayEngine().run(Squares(), [1]))


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_wrong_address_is_found_out_at_once(scheme: str) -> None:
    """Ray itself would try for minutes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"{scheme}127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(EngineError, match=f"no Ray cluster at {address}: .*`ray start --head` starts one"):
        list(RayEngine(address).run(Squares(), [1]))


def node(cpus: float, gpus: float = 0, alive: bool = True) -> dict[str, Any]:
    return {"Alive": alive, "Resources": {"CPU": cpus, "memory": 1e9} | ({"GPU": gpus} if gpus else {})}


@dataclass
class Nodes:
    """As much of Ray as says what a cluster has."""

    found: list[dict[str, Any]]

    def nodes(self) -> list[dict[str, Any]]:
        return self.found


@pytest.mark.parametrize(
    ("engine", "nodes", "expected"),
    [
        (RayEngine(), [node(2)], (2, 0)),
        (RayEngine(threads_per_worker=4), [node(6), node(9)], (3, 0)),
        (RayEngine(), [node(16, 8), node(16, 8)], (16, 1)),
        (RayEngine(), [node(16), node(4, 8)], (4, 1)),
        (RayEngine(gpus_per_worker=0.5), [node(64, 2)], (4, 0.5)),
        (RayEngine(gpus_per_worker=0.2), [node(64, 1), node(64, 1)], (10, 0.2)),
        (RayEngine(gpus_per_worker=0), [node(3, 8)], (3, 0)),
        (RayEngine(workers=9), [node(2)], (9, 0)),
        (RayEngine(), [node(2), node(8, alive=False)], (2, 0)),
    ],
)
def test_workers_are_as_many_as_fit(
    engine: RayEngine, nodes: list[dict[str, Any]], expected: tuple[int, float]
) -> None:
    assert engine.room(Nodes(nodes)) == expected


@pytest.mark.parametrize(
    ("engine", "nodes", "message"),
    [
        (
            RayEngine(threads_per_worker=2),
            [node(1), node(1)],
            "has 2 CPUs and 0 GPUs on 2 nodes: a worker of 2 CPUs and 0",
        ),
        (RayEngine(gpus_per_worker=1), [node(8)], "a worker of 1 CPUs and 1 GPUs on one node has no room"),
        (RayEngine(), [], "0 CPUs and 0 GPUs on 0 nodes"),
    ],
)
def test_a_cluster_without_room_is_refused(
    engine: RayEngine, nodes: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(EngineError, match=message):
        engine.room(Nodes(nodes))


@dataclass(eq=False)
class _Remote:
    """A method of an actor's: what is asked of it becomes a reference, here to (actor, items)."""

    actor: Any

    def remote(self, asked: Any) -> Any:
        return (self.actor, tuple(asked) if isinstance(asked, list) else None)


class _SlowFirst:
    """As much of Ray as runs a pool: a chunk is answered at once, but the first only when nothing else is asked."""

    class _Actor:
        def __init__(self) -> None:
            self.start = self.do = _Remote(self)

    class exceptions:  # noqa: N801 (Ray's name)
        RayTaskError = RayError = EngineError

    def put(self, job: Any) -> Any:
        return job

    def remote(self) -> Any:
        return self._Actor()

    def wait(self, asked: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        return sorted(asked, key=lambda ref: ref[1] == (0,))[:1], []

    def get(self, ref: Any) -> list[int]:
        return [item * item for item in ref[1] or ()]

    def kill(self, actor: Any) -> None:
        pass


def test_one_slow_chunk_does_not_let_the_others_run_through_all_items() -> None:
    ray, drawn = _SlowFirst(), []

    def items() -> Generator[int, None, None]:
        for item in range(1000):
            drawn.append(item)
            yield item

    workers = 3
    results = _Pool(ray, ray, Squares(), items(), RayEngine(chunk=1)).results(workers)
    assert next(results) == 0
    assert workers * IN_HAND < len(drawn) <= workers * AHEAD
    assert [0, *results] == [item * item for item in range(1000)]
