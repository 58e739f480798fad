"""The run: images and phrases in, masks and records out, one image after the other, whatever happens to one of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from PIL import Image

from ldznet_cli.errors import ImageError
from ldznet_cli.inference.answering import Finish, answered
from ldznet_cli.inference.asking import ask, phrases_of
from ldznet_cli.inference.conclusion import FORMAT, conclude
from ldznet_cli.inference.formats import Part, Scene
from ldznet_cli.inference.ledger import Ledger
from ldznet_cli.inference.outputs import OutputPlan
from ldznet_cli.inference.predictor import Predictor, ProbMap
from ldznet_cli.inference.prompts import Prompt, Task, labels_of
from ldznet_cli.samples.atomic import write_atomically
from ldznet_cli.samples.images import read_image, sha256_of
from ldznet_cli.samples.record import Record, RecordImage
from ldznet_cli.samples.templates import ENSEMBLE

AHEAD = 2
"""Images that are read and decoded while the one before them is at work: more would only fill the memory."""

WRITERS = 4

LARGE = 16_000_000
"""Pixels from which on an image's masks are finished one after the other: each takes some 20 bytes a pixel."""


@dataclass(frozen=True)
class _Loaded:
    """A task with what is there already, and with the image (None: not needed), or why it cannot be read."""

    task: Task
    done: dict[Prompt, Record]
    sha256: str | None = None
    image: Image.Image | None = None
    error: str | None = None


def settings_of(
    predictor: Predictor, plan: OutputPlan, finish: Finish, tasks: Sequence[Task] = ()
) -> dict[str, Any]:
    """All that decides what a run writes for an image and a phrase, as JSON values. Where numbers stand for labels
    they depend on the labels of all `tasks`."""
    return {
        "format": FORMAT,
        "predictor": predictor.identity.to_dict(),
        **finish.to_dict(),
        "formats": sorted(plan.formats),
        "rle": plan.rle,
        "classes": list(labels_of(tasks)) if plan.images else None,
    }


def open_ledger(
    predictor: Predictor,
    plan: OutputPlan,
    threshold: float | None = None,
    *,
    finish: Finish | None = None,
    tasks: Sequence[Task] = (),
    overwrite: bool = False,
    retry_failed: bool = False,
) -> Ledger:
    """The ledger of `plan`'s OUT for this predictor; `threshold` None is the predictor's own.

    `finish` says all that is done to a mask, the threshold included. With `overwrite` everything is made anew, with
    `retry_failed` only what the last run could not do.
    """
    made = finish or Finish(predictor.threshold if threshold is None else threshold)
    settings = settings_of(predictor, plan, made, tasks)
    return Ledger(plan, settings, made, overwrite=overwrite, retry_failed=retry_failed)


def segment(
    tasks: Sequence[Task],
    predictor: Predictor,
    ledger: Ledger,
    *,
    stop: Callable[[], bool] = lambda: False,
) -> Generator[Record, None, None]:
    """A record for each image and phrase, in order, when its files are written.

    An image that cannot be read gives records with `error`, and the others go on. What the ledger knows to be done is
    told again and not made again; of images that are not among its `only` nothing is told or made. `stop` is asked
    after each image. A run that leaves nothing out writes `run.json`.

    Raises UsageError and PromptError before the first image: two results with one file, a phrase that cannot be put;
    later DiskFull, ModelError. What was written before stays, and is whole.
    """
    ledger.plan.check(tasks)
    predictor.check(phrases_of(prompt for task in tasks for prompt in task.prompts))
    planned = [(task.image.name, prompt.label) for task in tasks for prompt in task.prompts]
    chosen = [task for task in tasks if ledger.only is None or task.image.name in ledger.only]
    left = len(chosen)
    with (
        ThreadPoolExecutor(WRITERS, "write") as writers,
        closing(_ahead(chosen, (run := _Run(predictor, ledger, writers)).load)) as images,
    ):
        for loaded in images:
            yield from run.records(loaded)
            left -= 1
            if left and stop():
                break
    ledger.close(planned)
    if not left and len(records := ledger.recorded(planned)) == len(planned):
        conclude(ledger, records, len(tasks))


class _Run:
    """One image's way: read in a thread, put to the predictor, its files written by several threads."""

    def __init__(self, predictor: Predictor, ledger: Ledger, writers: ThreadPoolExecutor) -> None:
        self.predictor, self.ledger, self.writers = predictor, ledger, writers
        self.outlined = any(made.outlined for made in ledger.plan.images)

    def load(self, task: Task) -> _Loaded:
        """In a reader's thread."""
        try:
            sha256 = sha256_of(task.image.path)
            done = self.ledger.done(task.image, task.prompts, sha256)
            if len(done) == len(task.prompts):
                return _Loaded(task, done, sha256)
            return _Loaded(task, done, sha256, read_image(task.image.path))
        except ImageError as error:
            return _Loaded(task, {}, error=str(error))

    def records(self, loaded: _Loaded) -> Iterator[Record]:
        """In the order of the task's prompts; everything of the image is written before the first of them."""
        made = self._make(loaded)
        self.ledger.resumed += len(loaded.done)
        for prompt in loaded.task.prompts:
            yield loaded.done.get(prompt) or made[prompt]

    def _make(self, loaded: _Loaded) -> dict[Prompt, Record]:
        missing = [prompt for prompt in loaded.task.prompts if prompt not in loaded.done]
        if loaded.error is not None:
            made = {prompt: self._failed(loaded, prompt) for prompt in missing}
        elif missing:
            assert loaded.image is not None
            assert loaded.sha256 is not None
            maps = ask(self.predictor, loaded.image, loaded.sha256, missing)
            found = self._write_all(loaded, list(zip(missing, maps, strict=True)))
            self._write_scene(loaded, [part for _, part in found])
            made = {prompt: record for prompt, (record, _) in zip(missing, found, strict=True)}
        else:
            made = {}
        for prompt in missing:
            self.ledger.add(made[prompt])
        return made

    def _write_all(
        self, loaded: _Loaded, maps: Sequence[tuple[Prompt, ProbMap]]
    ) -> list[tuple[Record, Part]]:
        assert loaded.image is not None
        if loaded.image.width * loaded.image.height > LARGE:
            return [self._write(loaded, prompt, found) for prompt, found in maps]
        futures = [self.writers.submit(self._write, loaded, prompt, found) for prompt, found in maps]
        return [future.result() for future in futures]

    def _write(self, loaded: _Loaded, prompt: Prompt, found: ProbMap) -> tuple[Record, Part]:
        """In a writer's thread."""
        assert loaded.image is not None
        ledger, name = self.ledger, loaded.task.image.name
        made = answered(loaded.image, prompt.label, found.prob, ledger.finish, self.outlined)
        ledger.plan.write(ledger.plan.paths(name, prompt), made.answer)
        record = Record(
            **self._asked(loaded, prompt),
            geometry=found.geometry,
            threshold=ledger.finish.threshold,
            tuned_on=self._tuned_on(),
            **ledger.files_of(name, prompt),
            **made.measured(rle=ledger.plan.rle or bool(ledger.plan.runs)),
        )
        return record, Part(prompt.label, made.answer.prob, made.rings)

    def _write_scene(self, loaded: _Loaded, parts: Sequence[Part]) -> None:
        assert loaded.image is not None
        scene = Scene(loaded.task.image.path, *loaded.image.size, self.ledger.finish.threshold, parts)
        places = self.ledger.plan.image_paths(loaded.task.image.name).files
        for made in self.ledger.plan.images:
            write_atomically(places[made.name], made.encode(scene, places[made.name]))

    def _tuned_on(self) -> str | None:
        """Of the predictor's own threshold; one that the user gave is the user's."""
        own = self.ledger.finish.threshold == self.predictor.threshold
        return self.predictor.identity.tuned_on if own else None

    def _failed(self, loaded: _Loaded, prompt: Prompt) -> Record:
        return Record(**self._asked(loaded, prompt), error=loaded.error)

    def _asked(self, loaded: _Loaded, prompt: Prompt) -> dict[str, Any]:
        ref, who = loaded.task.image, self.predictor.identity
        width, height = (None, None) if loaded.image is None else loaded.image.size
        several = prompt.synonyms or who.template == ENSEMBLE
        return {
            "image": RecordImage(str(ref.path), ref.name, loaded.sha256, width, height),
            "phrase": prompt.phrase,
            "label": prompt.label,
            "prompt": None if several else who.template.replace("{}", prompt.phrase),
            "negatives": prompt.negatives or None,
            "predictor": who.name,
            "model": who.model,
            "model_digest": who.model_digest,
            "ldm": who.ldm,
            "ldm_digest": who.ldm_digest,
            "seed": who.seed,
            "draws": who.draws,
            "settings": self.ledger.digest,
        }


def _ahead(tasks: Sequence[Task], load: Callable[[Task], _Loaded]) -> Generator[_Loaded, None, None]:
    """Each task loaded, in order; the next ones are being read meanwhile."""
    waiting: deque[Future[_Loaded]] = deque()
    reader = ThreadPoolExecutor(AHEAD, "read")
    try:
        for task in tasks:
            waiting.append(reader.submit(load, task))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        reader.shutdown(wait=True, cancel_futures=True)
