"""What `ldznet cache-features` says: what there is to do, how far it has come, what came of it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from ldznet_cli.cli import console
from ldznet_cli.errors import SomeItemsFailed

if TYPE_CHECKING:
    from ldznet_cli.features import CacheEvent, Plan, RunDone, Store

_FIRST = 5.0
"""Seconds of work on images after which the time that is left is told."""

_LONG = 60.0
"""Seconds that are worth telling of."""


def show(plan: Plan, as_json: bool) -> None:
    """What --dry-run prints. Raises DiskFull when the disk is too small: the exit code says so too."""
    if as_json:
        console.emit(json.dumps(plan.to_json()))
    else:
        rows = [
            (kind, c.needed, c.present, c.missing, size(c.bytes_to_write)) for kind, c in plan.counts.items()
        ]
        title = f"{len(plan.items)} images, {len(plan.failures)} unreadable{_free(plan)}"
        console.table(title, ("objects", "needed", "there", "to make", "to write"), rows)
    plan.require_room()


def begin(plan: Plan) -> None:
    """Before the work: what it will cost, and what cannot be read."""
    if plan.missing:
        kinds = ", ".join(f"{count.missing} {kind}" for kind, count in plan.counts.items() if count.needed)
        present = sum(count.present for count in plan.counts.values())
        console.say(
            f"ldznet: {plan.missing} objects to make ({kinds}), {present} already there; "
            f"{size(plan.bytes_to_write)} to write{_free(plan)}"
        )
    for failure in plan.failures:
        console.warn(failure.error)


class Watch:
    """Tells of a run while it goes on: each failure, a smaller batch, and, after the first images, the time left.

    `done` counts the objects written. The text states come first and take no time to speak of, so they say nothing
    about how long the images will take.
    """

    def __init__(self, plan: Plan, shown: console.Progress) -> None:
        self.shown, self.total = shown, plan.missing
        self.done = self._texts = 0
        self._began: float | None = None
        self._told = False
        self._reduced: int | None = None

    def see(self, event: CacheEvent) -> None:
        """One more event of the run."""
        from ldznet_cli.features import TextDone, UnitDone, UnitFailed

        if not isinstance(event, TextDone) and self._began is None:
            self._began, self._texts = time.monotonic(), self.done
            self.shown.begin_at(self.done)
        if isinstance(event, UnitFailed):
            console.warn(event.failure.error)
        elif isinstance(event, TextDone | UnitDone):
            self.done += event.objects
            self.shown.advance(event.objects)
        if isinstance(event, UnitDone) and event.reduced not in (None, self._reduced):
            self._reduced = event.reduced
            console.warn(
                f"out of memory: batches of {event.reduced} from here on; each object says what made it"
            )
        self._estimate()

    def _estimate(self) -> None:
        """Once, where it is long."""
        if self._told or self._began is None or (spent := time.monotonic() - self._began) < _FIRST:
            return
        self._told = True
        left = spent * (self.total - self.done) / max(self.done - self._texts, 1)
        if left > _LONG:
            console.say(f"ldznet: {self.shown.line()}")


def end(plan: Plan, done: RunDone, store: Store, as_json: bool) -> None:
    """The last words. Raises SomeItemsFailed."""
    if as_json:
        console.emit(json.dumps({**plan.to_json(), **_summary(done, store)}))
    place = store.place.shown()
    if done.objects == 0 and not done.failures:
        there = sum(count.needed for count in plan.counts.values())
        console.say(f"ldznet: nothing to do: all {there} objects are in {place} already")
    else:
        console.say(
            f"ldznet: wrote {done.objects} objects ({size(done.bytes)}) to {place} in {done.seconds:.0f} s"
        )
    if done.failures:
        from ldznet_cli.features.events import FAILED

        total, listed = len(plan.items) + len(plan.failures), store.place.shown(plan.shard.of(FAILED))
        raise SomeItemsFailed(
            f"{len(done.failures)} of {total} images could not be cached: see {listed}; the others are done"
        )


def size(count: int) -> str:
    """Bytes for people, decimal."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count / 1e3:.1f} kB"


def _free(plan: Plan) -> str:
    return "" if plan.free_bytes is None else f", {size(plan.free_bytes)} free on the disk"


def _summary(done: RunDone, store: Store) -> dict[str, Any]:
    return {
        "cache": store.place.shown(),
        "manifest": done.manifest,
        "objects_written": done.objects,
        "bytes_written": done.bytes,
        "seconds": round(done.seconds, 3),
        "waited": round(done.waited, 3),
        "failed": [{"image": str(failure.image.path), "error": failure.error} for failure in done.failures],
    }
