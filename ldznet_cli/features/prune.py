"""Taking away what a cache no longer needs: old runs, runs of a model, and what no manifest names."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from ldznet_cli.errors import CacheError
from ldznet_cli.features.census import Census, Run
from ldznet_cli.features.manifest import manifest_files
from ldznet_cli.features.store import file_of

IDLE = 3600.0
"""Seconds. A run writes oftener than that, so that one which is under way is noticed."""

_LOOK = 1.0
"""Seconds after which we look again whether a run has ended."""


@dataclass(frozen=True)
class Selection:
    """Runs that are older than `older_than` seconds and whose model is `model`; None where either may be as it likes.

    `model` is the name of an LDM as `ldznet cache info` shows it, or the beginning of one of its parts' digests. With
    neither, nothing is selected.
    """

    older_than: float | None = None
    model: str | None = None

    def takes(self, run: Run, now: float) -> bool:
        """Whether a run is to go."""
        old = self.older_than is None or now - run.entry.modified > self.older_than
        return old and (self.model is None or _is_of(run, self.model))


@dataclass(frozen=True)
class Pruning:
    """What is to go: runs, then the objects (by digest) that no other run names, and their bytes."""

    runs: list[Run] = field(default_factory=list)
    objects: list[str] = field(default_factory=list)
    bytes: int = 0


def pruning(census: Census, selection: Selection, *, idle: float = IDLE, now: float | None = None) -> Pruning:
    """What would be taken away: the selected runs and the objects that only they name; with nothing selected, the
    objects that no run names.

    Raises CacheError where there is no manifest at all, unless `idle` is 0: everything would go. And when a run seems
    to be under way: its objects are in no manifest yet, and it may count on others that would go. That is so while an
    object that no run names was written less than `idle` seconds ago. Also when a manifest cannot be read, because
    what it names is not known.
    """
    now = time.time() if now is None else now
    if census.broken:
        raise CacheError(f"nothing is pruned while a manifest cannot be read: {census.broken[0]}")
    _require_idle(census, idle, now)
    if selection == Selection():
        gone, objects = [], census.unlisted
        _require_meant(census, idle)
    else:
        gone = [run for run in census.runs if selection.takes(run, now)]
        kept = frozenset[str]().union(*(run.names for run in census.runs if run not in gone))
        named = frozenset[str]().union(*(run.names for run in gone)) - kept
        objects = [name for name in census.objects if name in named]
    return Pruning(gone, objects, sum(census.objects[name].bytes for name in objects))


def prune(census: Census, what: Pruning) -> Iterator[str]:
    """Take it away; the name of each file that is gone. Manifests first: none ever names what is not there.

    Raises CacheError as soon as another run is seen to have ended since the census: it may count on what would go.
    """
    place, looked = census.store.place, -_LOOK
    place.sweep()
    for file in [*(run.entry.name for run in what.runs), *map(file_of, what.objects)]:
        if time.monotonic() - looked > _LOOK:
            _require_no_new_run(census)
            looked = time.monotonic()
        place.delete(file)
        yield file


def _require_no_new_run(census: Census) -> None:
    new = {entry.name for entry in manifest_files(census.store.place)} - {
        run.entry.name for run in census.runs
    }
    if new:
        place = census.store.place.shown()
        raise CacheError(
            f"a run over {place} has ended meanwhile and may count on what would go: prune once more"
        )


def _require_idle(census: Census, idle: float, now: float) -> None:
    latest = max((census.objects[name].modified for name in census.unlisted), default=None)
    if latest is not None and now - latest < idle:
        place = census.store.place.shown()
        raise CacheError(
            f"a run over {place} seems to be under way: its last object is {now - latest:.0f} s old and in no "
            "manifest; wait until it ends, or say --idle 0s when you know that none is"
        )


def _require_meant(census: Census, idle: float) -> None:
    """A cache without any manifest is that of a run that was given up, or one that has lost its manifests."""
    if idle > 0 and not census.runs and census.unlisted:
        place = census.store.place.shown()
        raise CacheError(
            f"{place} holds no manifest, so all its {len(census.unlisted)} objects would go; `ldznet cache-features` "
            "with its options writes it again, or say --idle 0s when its run was given up and all may go"
        )


def _is_of(run: Run, model: str) -> bool:
    digests = run.manifest.settings.digests.to_dict().values()
    return model == run.manifest.settings.ldm or any(
        digest and digest.startswith(model) for digest in digests
    )
