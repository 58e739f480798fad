"""Sides of a comparison that take turns, round by round, within the time there is; a later run adds what is missing."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

Run = Callable[[int], object]
"""One repetition; its number makes its phrase a new one, so that no side remembers the text."""

Times = dict[str, list[float]]


class OutOfTime(Exception):
    """Not one round fits into what is left."""


@dataclass(frozen=True)
class Budget:
    """`rounds` are wanted, and none is begun that is not likely to end before `ends` (of time.monotonic)."""

    rounds: int
    ends: float = float("inf")

    @classmethod
    def of(cls, rounds: int, minutes: float) -> Budget:
        return cls(rounds, time.monotonic() + 60 * minutes)

    def left(self) -> float:
        """Seconds."""
        return self.ends - time.monotonic()


def compare(
    sides: dict[str, Run],
    budget: Budget,
    former: dict[str, Any] | None = None,
    *,
    warm: bool = False,
    prepare: Callable[[], object] = gc.collect,
) -> dict[str, Any]:
    """Medians of each side in seconds; ratios of the first to each other. Unless `warm`, a round goes before.

    `former` is what an earlier run found, whose times count. `prepare` goes before each turn and is not timed.
    Raises OutOfTime when there is no time for any round.
    """
    times, counted = _former(sides, former), warm
    done = len(times["wall"][next(iter(sides))])
    longest = sum(max(walls, default=0.0) for walls in times["wall"].values())
    while done < budget.rounds and budget.left() > longest:
        began = time.monotonic()
        _round(sides, (done + 1) * counted, times if counted else _former(sides, None), prepare)
        done, longest = done + counted, max(longest, time.monotonic() - began)
        which = f"round {done} of {budget.rounds}" if counted else "a round that is not counted"
        print(f"  {which}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
        counted = True
    if not done:
        raise OutOfTime
    return {"rounds": done, "load_average": round(os.getloadavg()[0], 2)} | summary(list(sides), times)


Found = dict[str, Any]


def work_through(
    stages: Sequence[str],
    budget: Budget,
    *,
    former: Callable[[str], Found | None],
    whole: Callable[[Found | None], bool],
    run: Callable[[str], Found],
    about: Callable[[str], str],
) -> None:
    """Those of the stages that are not `whole` by what `former` knows of them. `run` makes one and keeps what it found;
    `about` says what it is. Says which are left when the time is up."""
    left = [stage for stage in stages if not whole(former(stage))]
    for stage in list(left):
        if budget.left() < 0:
            break
        print(f"{stage}: {about(stage)} {budget.left():.0f} s left", file=sys.stderr, flush=True)
        try:
            found = run(stage)
        except OutOfTime:
            continue
        if whole(found):
            left.remove(stage)
    if left:
        again = f"run the same command again (without --anew) for {', '.join(left)}"
        print(f"time is up: {again}", file=sys.stderr)


def _round(sides: dict[str, Run], turn: int, times: dict[str, Times], prepare: Callable[[], object]) -> None:
    """In turns one side and another in front."""
    for name in list(sides) if turn % 2 else list(sides)[::-1]:
        prepare()
        began, began_cpu = time.perf_counter(), time.process_time()
        sides[name](turn)
        times["wall"][name].append(time.perf_counter() - began)
        times["cpu"][name].append(time.process_time() - began_cpu)


def summary(sides: Sequence[str], times: dict[str, Times]) -> dict[str, Any]:
    """The medians, the ratios, and the times themselves, for a later run to go on with."""
    first, *others = sides
    found: dict[str, Any] = {
        name: {f"{kind}_s": round(median(times[kind][name]), 4) for kind in ("wall", "cpu")} for name in sides
    }
    for kind in ("wall", "cpu"):
        middle = {name: median(times[kind][name]) for name in sides}
        found[f"ratio_{kind}"] = {name: round(middle[first] / middle[name], 3) for name in others}
    rounded = {kind: {name: [round(one, 5) for one in times[kind][name]] for name in sides} for kind in times}
    return found | {"times": rounded}


def _former(sides: dict[str, Run], former: dict[str, Any] | None) -> dict[str, Times]:
    known = (former or {}).get("times", {})
    if set(known.get("wall", ())) != set(sides):
        known = {}
    return {
        kind: {name: list(known[kind][name]) if known else [] for name in sides} for kind in ("wall", "cpu")
    }
