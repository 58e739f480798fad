"""Filling a cache: what a plan says is missing, computed and written, unit by unit; the manifest last.

Whatever stops a run, each object that is there is whole, and the same command makes only what is not there. A unit
of which something is missing is run through the same batches as when all of it is, so that the bytes are the same.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import Tensor

from ldznet_cli import __version__
from ldznet_cli.errors import CacheError, ImageError
from ldznet_cli.features import compute
from ldznet_cli.features.events import CacheEvent, RunDone, TextDone, UnitDone, UnitFailed, write_failures
from ldznet_cli.features.key import FeatureSettings, Key, Storage, digest
from ldznet_cli.features.manifest import Manifest
from ldznet_cli.features.overlap import Overlap
from ldznet_cli.features.plan import Failure, Plan
from ldznet_cli.features.storage import stored
from ldznet_cli.features.store import Store
from ldznet_cli.features.unit import BATCH, Unit
from ldznet_cli.ldm.frozen import FrozenLDM
from ldznet_cli.samples.images import read_image, sha256_of, to_tensor
from ldznet_cli.tensors import Pixels

_PROMPTS = 64  # text states kept in memory: 15 MB of Stable Diffusion's
_PACKAGES = ("diffusers", "numpy", "pillow", "safetensors", "torch", "transformers")


@dataclass(frozen=True)
class _Loaded:
    """A unit ready for the model: z as it is in the cache, or else the image's pixels, or why there are none."""

    unit: Unit
    z: Tensor | None = None
    pixels: Pixels | None = None
    failure: Failure | None = None


@dataclass(frozen=True)
class _Object:
    """What is to be written, and the rows of the batch that it was computed in."""

    key: Key
    tensors: dict[str, Tensor]
    storage: Storage
    batch: int


def cache_features(
    plan: Plan, ldm: FrozenLDM, store: Store, *, batch: int = BATCH, threads: int | None = None
) -> Generator[CacheEvent, None, None]:
    """Do what `plan` says is missing: first the prompts, then the images; a generator of what has been done.

    Through the UNet go batches of exactly `batch` rows. `threads` (of PyTorch, while this runs) are what it would
    use anyway when None; both are recorded. Closing the generator stops it between two objects.

    Raises DiskFull (before any work when the disk is seen to be too small), CacheError for values that are not finite.
    """
    plan.require_room()
    count = compute.default_threads() if threads is None else threads
    with compute.threads(count):
        yield from _Run(plan, ldm, store, batch, compute.arithmetic(ldm, count)).events()


class _Run:
    """One run over a plan: the three stages that `Overlap` moves units through."""

    def __init__(self, plan: Plan, ldm: FrozenLDM, store: Store, batch: int, made: dict[str, Any]) -> None:
        self.plan, self.ldm, self.store, self.batch, self.made = plan, ldm, store, batch, made
        self.settings: FeatureSettings = plan.settings
        self.failures = list(plan.failures)
        self.objects = self.bytes = 0
        self.text = lru_cache(_PROMPTS)(self._text)

    def events(self) -> Iterator[CacheEvent]:
        began = time.perf_counter()
        self.store.sweep()
        texts = Overlap(str, self._text_objects, self._save, behind=2 * self.batch)
        for prompt, written in texts.run(self.plan.prompts):
            self._count(written)
            yield TextDone(prompt, sum(written))
        units = Overlap(self._load, self._unit_objects, self._save, behind=2 * self.batch)
        for loaded, written in units.run(self.plan.todo):
            self._count(written)
            yield self._unit_event(loaded, written)
        manifest = self._finish()
        seconds, waited = time.perf_counter() - began, texts.waited + units.waited
        yield RunDone(manifest, tuple(self.failures), self.objects, self.bytes, seconds, waited)

    def _load(self, unit: Unit) -> _Loaded:
        """In a reader's thread: z from the cache where it is whole, else the image, if it is still the same."""
        try:
            return _Loaded(unit, z=self.store.read(self.settings.z_key(unit.sha256)).tensors["z"])
        except (FileNotFoundError, CacheError):
            pass  # not there or damaged: made (anew) from the image
        try:
            pixels = to_tensor(read_image(unit.image.path), self.settings.geometry)
            if sha256_of(unit.image.path) != unit.sha256:
                raise ImageError(f"{unit.image.path}: has changed since this run began; run it again")
        except ImageError as error:
            return _Loaded(unit, failure=Failure(unit.image, str(error)))
        return _Loaded(unit, pixels=pixels)

    def _text_objects(self, prompt: str) -> Iterator[_Object]:
        states = compute.encode_text(self.ldm, prompt)
        yield _Object(self.settings.text_key(prompt), {"text": states}, self.settings.compute, batch=1)

    def _unit_objects(self, loaded: _Loaded) -> Iterator[_Object]:
        """In the model's thread: z first, then the features, batch by batch."""
        z = loaded.z
        if loaded.pixels is not None:
            z = compute.encode_z(self.ldm, loaded.pixels)
            yield _Object(self.settings.z_key(loaded.unit.sha256), {"z": z}, self.settings.compute, batch=1)
        if z is not None and self.settings.blocks:
            yield from self._feature_objects(loaded.unit, z)

    def _feature_objects(self, unit: Unit, z: Tensor) -> Iterator[_Object]:
        keys = {r: self.settings.features_key(unit.sha256, r.prompt, r.draw) for r in unit.requests}
        missing = {request for request, key in keys.items() if not self.store.is_whole(digest(key))}
        for rows in compute.feature_batches(self.ldm, z, self.text, unit.requests, self.batch, missing):
            for request, blocks in rows:
                if request in missing:
                    tensors = {str(index): block for index, block in blocks.items()}
                    yield _Object(keys[request], tensors, self.settings.storage, self.batch)

    def _text(self, prompt: str) -> Tensor:
        """From the cache; made anew when what is there is damaged."""
        try:
            return self.store.read(self.settings.text_key(prompt)).tensors["text"]
        except (FileNotFoundError, CacheError):
            [made] = self._text_objects(prompt)
            self._count([self._save(made)])
            return made.tensors["text"]

    def _save(self, made: _Object) -> int:
        """In a writer's thread; returns the bytes."""
        how = {**self.made, "batch": made.batch}
        return self.store.write(made.key, stored(made.tensors, made.storage), how)

    def _unit_event(self, loaded: _Loaded, written: Sequence[int]) -> CacheEvent:
        if loaded.failure is None:
            return UnitDone(loaded.unit, len(written), sum(written))
        self.failures.append(loaded.failure)
        return UnitFailed(loaded.failure)

    def _count(self, written: Sequence[int]) -> None:
        self.objects += len(written)
        self.bytes += sum(written)

    def _finish(self) -> Path | None:
        """List what failed, and write the manifest of what did not."""
        write_failures(self.store.root, self.failures)
        failed = {failure.image for failure in self.failures}
        lost = {unit.sha256 for unit in self.plan.todo if unit.image in failed}
        items = {sha256: phrases for sha256, phrases in self.plan.items.items() if sha256 not in lost}
        if not items:
            return None
        versions = {"ldznet-cli": __version__, **{name: version(name) for name in _PACKAGES}}
        about = {"arithmetic": {**self.made, "batch": self.batch}, "versions": versions}
        return Manifest(self.settings, self.plan.draws, items, about).write(self.store.root)
