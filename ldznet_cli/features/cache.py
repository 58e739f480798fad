"""Filling a cache: what a plan says is missing is given to an engine's workers; the manifest is written last.

Whatever stops a run, each object that is there is whole, and the same command makes only what is not there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

from ldznet_cli.engines import Engine, LocalEngine, chunks
from ldznet_cli.errors import CacheError
from ldznet_cli.features import compute
from ldznet_cli.features.events import CacheEvent, RunDone, TextDone, UnitDone, UnitFailed, write_failures
from ldznet_cli.features.filling import Done, Filling, Task
from ldznet_cli.features.key import digest
from ldznet_cli.features.manifest import Manifest, read_manifests
from ldznet_cli.features.place import Place
from ldznet_cli.features.plan import Failure, Plan
from ldznet_cli.features.store import Store, file_of
from ldznet_cli.features.unit import BATCH, Unit
from ldznet_cli.ldm.frozen import FrozenLDM
from ldznet_cli.machine.packages import versions_of

_PROMPTS = 16
"""Prompts that are one task: writing them takes longer than computing them, so several are written at once."""

_PACKAGES = ("diffusers", "numpy", "pillow", "safetensors", "torch", "transformers")


def cache_features(
    plan: Plan,
    ldm: FrozenLDM,
    store: Store,
    *,
    batch: int = BATCH,
    threads: int | None = None,
    engine: Engine | None = None,
    load: Callable[[], FrozenLDM] | None = None,
) -> Generator[CacheEvent, None, None]:
    """Do what `plan` says is missing: first the prompts, then the images; a generator of what has been done.

    Through the UNet an image's rows go in as few batches as `batch` allows, all of one size; in more where those do not
    fit into memory. `threads` (of PyTorch, while this runs) are what it would use anyway when None. Both are recorded.
    `engine` says where the work is done, in this process by default; `load` is how its workers come by the LDM, when
    they cannot have this one. Closing the generator stops it between two objects.

    An image that cannot be read, or of which a value cannot be stored, is left out and told of; the others are done.
    Raises DiskFull (before any work when the disk is seen to be too small), NotFinite for a prompt's text states,
    CacheError where objects that the plan counted on have gone, LdznetError where one row is too much for memory, and
    what the engine raises.
    """
    plan.require_room()
    job = Filling(load or (lambda: ldm), plan.settings, store, batch, threads)
    made = compute.arithmetic(ldm, compute.default_threads() if threads is None else threads)
    yield from _Run(plan, job, engine or LocalEngine(), {**made, "batch": batch}).events()


class _Run:
    """One run over a plan, on whatever engine: what it comes to, and its record."""

    def __init__(self, plan: Plan, job: Filling, engine: Engine, made: Mapping[str, Any]) -> None:
        self.plan, self.job, self.engine, self.made = plan, job, engine, made
        self.failures = list(plan.failures)
        self.objects = self.bytes = 0
        self.waited = 0.0

    def events(self) -> Iterator[CacheEvent]:
        began = time.perf_counter()
        self.job.store.sweep()
        tasks: list[Task] = [*map(tuple, chunks(self.plan.prompts, _PROMPTS)), *self.plan.todo]
        if tasks:
            with closing(self.engine.run(self.job, tasks)) as results:
                for task, done in zip(tasks, results, strict=True):
                    yield self._event(task, done)
        manifest, seconds = self._finish(), time.perf_counter() - began
        yield RunDone(manifest, tuple(self.failures), self.objects, self.bytes, seconds, self.waited)

    def _event(self, task: Task, done: Done) -> CacheEvent:
        self.made = done.made
        self.objects += done.objects
        self.bytes += done.bytes
        self.waited += done.waited
        if not isinstance(task, Unit):
            return TextDone(task, done.objects, done.bytes)
        if done.error is None:
            return UnitDone(task, done.objects, done.bytes, done.reduced)
        self.failures.append(Failure(task.image, done.error))
        return UnitFailed(self.failures[-1])

    def _finish(self) -> str | None:
        """List what failed, and write the manifest of what did not."""
        place = self.job.store.place
        write_failures(place, self.failures, self.plan.shard)
        failed = {failure.image for failure in self.failures}
        lost = {unit.sha256 for unit in self.plan.todo if unit.image in failed}
        items = {sha256: phrases for sha256, phrases in self.plan.items.items() if sha256 not in lost}
        if not items:
            return None
        seen = {
            sha256: kept
            for sha256, views in self.plan.seen.items()
            if (kept := [view for view in views if view.identity(sha256) in items])
        }
        made = Manifest(self.plan.settings, self.plan.draws, items, {}, self.plan.views, seen)
        return self._write(replace(made, about=self._about(made)))

    def _about(self, made: Manifest) -> dict[str, Any]:
        others = None if self.objects else _arithmetic_of_others(made, self.job.store.place)
        return {"arithmetic": others or dict(self.made), "versions": versions_of(*_PACKAGES)}

    def _write(self, made: Manifest) -> str:
        """Where the manifest is now. It is taken back when something has gone that it names."""
        place = self.job.store.place
        known, file = made.is_in(place), made.write(place)
        try:
            self._require_all(made)
        except BaseException:
            if not known:
                place.delete(made.file)
            raise
        return file

    def _require_all(self, manifest: Manifest) -> None:
        """Raises CacheError where something has gone that the plan counted on.

        Until its manifest is there a run's objects are nobody's, and `prune` may take what was old. So this is looked
        at after the manifest was written, from when on `prune` takes nothing of it.
        """
        if not any(count.present for count in self.plan.counts.values()):
            return
        gone = self.job.store.lost({digest(key) for key in manifest.all_keys()})
        if gone:
            place = self.job.store.place
            raise CacheError(
                f"{len(gone)} objects that were in {place.shown()} when this run began are gone, such as "
                f"{place.shown(file_of(gone[0]))}: was `ldznet cache prune` run beside it? The same command makes them"
            )


def _arithmetic_of_others(manifest: Manifest, place: Place) -> dict[str, Any] | None:
    """Of the newest run whose items go together with these, such as a shard: a run that made nothing has only gathered
    what that one made."""
    try:
        others = read_manifests(place)
    except CacheError:  # there is none, or not all can be read
        return None
    return next((other.about.get("arithmetic") for other in others if other.kind == manifest.kind), None)
