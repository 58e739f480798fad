"""Filling a cache: what a plan says is missing is given to an engine's workers; the manifest is written last.

Whatever stops a run, each object that is there is whole, and the same command makes only what is not there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from typing import Any

from ldznet_cli.engines import Engine, LocalEngine, chunks
from ldznet_cli.features import compute
from ldznet_cli.features.events import CacheEvent, RunDone, TextDone, UnitDone, UnitFailed, write_failures
from ldznet_cli.features.filling import Done, Filling, Task
from ldznet_cli.features.manifest import Manifest
from ldznet_cli.features.plan import Failure, Plan
from ldznet_cli.features.store import Store
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

    Raises DiskFull (before any work when the disk is seen to be too small), CacheError for values that are not finite,
    LdznetError where one row is too much for memory, and what the engine raises.
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
        about = {"arithmetic": dict(self.made), "versions": versions_of(*_PACKAGES)}
        seen = {
            sha256: kept
            for sha256, views in self.plan.seen.items()
            if (kept := [view for view in views if view.identity(sha256) in items])
        }
        made = Manifest(self.plan.settings, self.plan.draws, items, about, self.plan.views, seen)
        return made.write(place)
