"""A worker's part in filling a cache: prompts and images come in, their objects are in the store.

Whatever stops it, each object that is there is whole. A unit of which something is missing goes through the same
batches as when all of it is, so that the bytes are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from ldznet_cli.errors import CacheError, ImageError, LdznetError, ModelError, NotFinite
from ldznet_cli.features import compute
from ldznet_cli.features.key import FeatureSettings, Key, Storage, digest
from ldznet_cli.features.overlap import Overlap
from ldznet_cli.features.storage import stored
from ldznet_cli.features.store import Store
from ldznet_cli.features.unit import Request, Unit, rows_of_batch
from ldznet_cli.ldm.frozen import FrozenLDM
from ldznet_cli.ldm.memory import free_memory, out_of_memory
from ldznet_cli.samples.images import identity_of, read_view, to_tensor
from ldznet_cli.tensors import Pixels

_PROMPTS = 64  # text states kept in memory: 15 MB of Stable Diffusion's

Task = tuple[str, ...] | Unit
"""Prompts, whose text states are to be made; or an image, with all that is asked about it."""


@dataclass(frozen=True)
class Done:
    """What came of one task: the objects written for it and their bytes, or the `error` of an image that is left out.

    `waited` seconds the model stood still meanwhile; `made` is its arithmetic, with the rows of a batch that were asked
    for; `reduced` is the rows that batches have from here on, where memory has run out.
    """

    objects: int
    bytes: int
    waited: float
    made: Mapping[str, Any]
    reduced: int | None = None
    error: str | None = None


@dataclass(frozen=True)
class Filling:
    """A job (engines.py): each worker has an LDM of its own, by `load`, which must give the one of `settings`.

    `threads` of PyTorch are what it would use anyway when None. To be sent to other machines, `load` and `store` must
    be what can be pickled and means the same there.
    """

    load: Callable[[], FrozenLDM]
    settings: FeatureSettings
    store: Store
    batch: int
    threads: int | None = None

    def __call__(self) -> Callable[[Iterable[Task]], Generator[Done, None, None]]:
        """Raises ModelError when the LDM is another one here."""
        ldm = self.load()
        if not self.settings.made_with(ldm.digests):
            raise ModelError(
                f"{ldm.folder} holds other weights on a worker than where the run was begun: {ldm.digests}, expected "
                f"{self.settings.digests}; give every worker the same files"
            )
        return _Worker(self, ldm).run


@dataclass(frozen=True)
class _Loaded:
    """A task ready for the model. An image comes with z as it is in the cache, or else its pixels, or an error.

    `missing` are the requests whose features are not there, `texts` the text states for them that are there and were
    not in memory: asking and fetching take a while where the store is far away.
    """

    task: Task
    z: Tensor | None = None
    pixels: Pixels | None = None
    error: str | None = None
    missing: frozenset[Request] = frozenset()
    texts: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class _Object:
    """What is to be written, the rows of the batch that it was computed in, and the image that it is of, if any."""

    key: Key
    tensors: dict[str, Tensor]
    storage: Storage
    batch: int = 1
    path: Path | None = None


class _Worker:
    """The three stages that `Overlap` moves tasks through; `batch` becomes smaller when memory runs out."""

    def __init__(self, job: Filling, ldm: FrozenLDM) -> None:
        self.ldm, self.store, self.batch = ldm, job.store, job.batch
        self.settings: FeatureSettings = job.settings
        self.threads = compute.default_threads() if job.threads is None else job.threads
        self.made = {**compute.arithmetic(ldm, self.threads), "batch": self.batch}
        self.texts: dict[str, Tensor] = {}
        self.mended: list[int] = []

    def run(self, tasks: Iterable[Task]) -> Generator[Done, None, None]:
        """Raises DiskFull, NotFinite for a prompt's text states, LdznetError where memory holds not one row."""
        overlap, told = Overlap(self._load, self._objects, self._save, behind=2 * self.batch), 0.0
        with compute.threads(self.threads):
            for loaded, saved in overlap.run(tasks):
                written = [size for size in (*saved, *self.mended) if isinstance(size, int) and size]
                waited, told = overlap.waited - told, overlap.waited
                self.mended.clear()
                reduced = self.batch if self.batch < self.made["batch"] else None
                error = next((said for said in saved if isinstance(said, str)), loaded.error)
                yield Done(len(written), sum(written), waited, self.made, reduced, error)

    def _load(self, task: Task) -> _Loaded:
        """In a reader's thread: z from the cache where it is whole, else the image, if it is still the same."""
        if not isinstance(task, Unit):
            return _Loaded(task)
        missing = frozenset(self._missing(task))
        texts = self._stored_texts(task) if missing else {}
        try:
            z = self.store.read(self.settings.z_key(task.sha256)).tensors["z"]
            return _Loaded(task, z=z, missing=missing, texts=texts)
        except (FileNotFoundError, CacheError):
            pass  # not there or damaged: made (anew) from the image
        try:
            pixels = to_tensor(read_view(task.image), self.settings.geometry)
            if identity_of(task.image) != task.sha256:
                raise ImageError(f"{task.image.path}: has changed since this run began; run it again")
        except ImageError as error:
            return _Loaded(task, error=str(error))
        return _Loaded(task, pixels=pixels, missing=missing, texts=texts)

    def _stored_texts(self, unit: Unit) -> dict[str, Tensor]:
        """Those of a unit's prompts, but for what is in memory, and for what is not there or damaged."""
        found = {}
        for prompt in {request.prompt for request in unit.requests} - self.texts.keys():
            with suppress(FileNotFoundError, CacheError):
                found[prompt] = self.store.read(self.settings.text_key(prompt)).tensors["text"]
        return found

    def _missing(self, unit: Unit) -> Iterator[Request]:
        for request in unit.requests if self.settings.blocks else ():
            if not self.store.is_whole(digest(self._key(unit, request))):
                yield request

    def _key(self, unit: Unit, request: Request) -> Key:
        return self.settings.features_key(unit.sha256, request.prompt, request.draw)

    def _objects(self, loaded: _Loaded) -> Iterator[_Object]:
        """In the model's thread."""
        try:
            if isinstance(loaded.task, Unit):
                yield from self._unit_objects(loaded, loaded.task)
            else:
                yield from (self._text_object(prompt) for prompt in loaded.task if not self._has_text(prompt))
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            advice = "try a smaller --size, --dtype float16, or another --device"
            raise LdznetError(
                f"out of memory with one row at a time ({_first_line(error)}); {advice}"
            ) from error

    def _unit_objects(self, loaded: _Loaded, unit: Unit) -> Iterator[_Object]:
        """z first, then the features, batch by batch."""
        z = loaded.z
        self._remember(loaded.texts)
        if loaded.pixels is not None:
            z = compute.encode_z(self.ldm, loaded.pixels)
            key = self.settings.z_key(unit.sha256)
            yield _Object(key, {"z": z}, self.settings.compute, path=unit.image.path)
        if z is not None and self.settings.blocks:
            yield from self._feature_objects(unit, z, set(loaded.missing))

    def _feature_objects(self, unit: Unit, z: Tensor, missing: set[Request]) -> Iterator[_Object]:
        """Where memory runs out, what is still missing is made in batches of half the size, and all that follows."""
        while missing:
            rows = rows_of_batch(len(unit.requests), self.batch)
            try:
                for request, blocks in self._rows(unit, z, missing):
                    tensors = {str(index): block for index, block in blocks.items()}
                    missing.discard(request)
                    key = self._key(unit, request)
                    yield _Object(key, tensors, self.settings.storage, rows, unit.image.path)
            except (RuntimeError, MemoryError) as error:
                if rows == 1 or not out_of_memory(error):
                    raise
                self.batch = rows // 2
            if missing:
                free_memory(self.ldm.device)

    def _rows(
        self, unit: Unit, z: Tensor, missing: Container[Request]
    ) -> Iterator[tuple[Request, dict[int, Tensor]]]:
        for rows in compute.feature_batches(self.ldm, z, self._text, unit.requests, self.batch, missing):
            yield from (row for row in rows if row[0] in missing)

    def _has_text(self, prompt: str) -> bool:
        return self.store.is_whole(digest(self.settings.text_key(prompt)))

    def _text_object(self, prompt: str) -> _Object:
        states = compute.encode_text(self.ldm, prompt)
        self._remember({prompt: states})
        return _Object(self.settings.text_key(prompt), {"text": states}, self.settings.compute)

    def _text(self, prompt: str) -> Tensor:
        """From the cache; made anew when what is there is damaged, or another worker has not made it yet."""
        if prompt in self.texts:  # which may be in saving, and not to be read yet
            return self.texts[prompt]
        try:
            states = self.store.read(self.settings.text_key(prompt)).tensors["text"]
        except (FileNotFoundError, CacheError):
            made = self._text_object(prompt)
            self.mended.append(self._write(made))
            return made.tensors["text"]
        self._remember({prompt: states})
        return states

    def _remember(self, states: Mapping[str, Tensor]) -> None:
        """The newest are kept, and all that came together. In the model's thread: readers look at what is there."""
        texts = {**self.texts, **states}
        self.texts = dict(list(texts.items())[-max(_PROMPTS, len(states)) :])

    def _save(self, made: _Object) -> int | str:
        """In a writer's thread; returns the bytes, or why an image has to be left out. Text states are of many images,
        so what is wrong with them ends the run."""
        try:
            return self._write(made)
        except NotFinite as error:
            if made.path is None:
                raise
            return f"{made.path}: {error}"

    def _write(self, made: _Object) -> int:
        how = {**self.made, "batch": made.batch}
        return self.store.write(made.key, stored(made.tensors, made.storage), how)


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
