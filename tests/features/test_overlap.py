"""Three stages at once: in order, bounded, and no thread left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from ldznet_cli.features.overlap import Overlap


def twice(value: int) -> Iterator[int]:
    yield value
    yield -value


def test_results_come_in_order_with_all_their_parts() -> None:
    overlap = Overlap(lambda item: 10 * item, twice, lambda part: part + 1)
    assert list(overlap.run(range(20))) == [(10 * i, [10 * i + 1, 1 - 10 * i]) for i in range(20)]


def test_an_item_may_have_no_parts() -> None:
    assert list(Overlap(str, lambda _: [], str).run([1, 2])) == [("1", []), ("2", [])]


def test_loading_and_saving_overlap_with_computing() -> None:
    """One item is loaded while the one before it is computed and the one before that is saved: the three meet."""
    meeting = threading.Barrier(3, timeout=60)

    def at(value: int, item: int) -> int:
        if value == item:
            meeting.wait()
        return value

    overlap = Overlap(lambda v: at(v, 7), lambda v: [at(v, 6)], lambda v: at(v, 5))
    assert [loaded for loaded, _ in overlap.run(range(20))] == list(range(20))


@pytest.mark.parametrize("stage", ["load", "compute", "save"])
def test_an_error_of_any_stage_ends_the_run(stage: str) -> None:
    def at(name: str, value: int) -> int:
        if name == stage and value == 5:
            raise RuntimeError(name)
        return value

    overlap = Overlap(lambda v: at("load", v), lambda v: [at("compute", v)], lambda v: at("save", v))
    before = threading.active_count()
    with pytest.raises(RuntimeError, match=stage):
        list(overlap.run(range(50)))
    assert threading.active_count() == before


def test_no_more_is_loaded_or_kept_than_ahead() -> None:
    loaded: list[int] = []
    saved: list[int] = []

    def load(value: int) -> int:
        loaded.append(value)
        return value

    def compute(value: int) -> Iterator[int]:
        assert len(loaded) <= value + 1 + 3
        for part in range(5):
            assert value * 5 + part - len(saved) <= 2
            yield part

    def save(part: int) -> None:
        time.sleep(0.001)
        saved.append(part)

    assert len(list(Overlap(load, compute, save, ahead=3, behind=2).run(range(12)))) == 12


def test_closing_saves_what_is_computed_and_drops_what_is_loaded() -> None:
    loaded, computed, saved = [], [], []

    def load(value: int) -> int:
        loaded.append(value)
        return value

    def compute(value: int) -> Iterator[int]:
        computed.append(value)
        yield value

    def save(part: int) -> None:
        time.sleep(0.01)
        saved.append(part)

    run = Overlap(load, compute, save).run(range(100))
    next(run)
    run.close()
    assert sorted(saved) == computed == [0, 1]
    assert len(loaded) < 30
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("load", "save"))]


def test_what_was_computed_before_an_error_is_saved() -> None:
    saved = []

    def compute(value: int) -> Iterator[int]:
        yield from range(8)
        raise RuntimeError(value)

    def save(part: int) -> None:
        time.sleep(0.05)
        saved.append(part)

    with pytest.raises(RuntimeError, match="0"):
        list(Overlap(int, compute, save).run([0]))
    assert sorted(saved) == list(range(8))
