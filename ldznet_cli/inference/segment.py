"""The run: images and phrases in, masks and records out, one image after the other, whatever happens to one of them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

from ldznet_cli.engines import Engine, LocalEngine
from ldznet_cli.errors import NothingToDo
from ldznet_cli.inference.answering import Finish, answered
from ldznet_cli.inference.asking import phrases_of
from ldznet_cli.inference.clips import reach_of
from ldznet_cli.inference.conclusion import FORMAT, conclude
from ldznet_cli.inference.formats import Part, Scene
from ldznet_cli.inference.ledger import Ledger, keys_of
from ldznet_cli.inference.loading import Loaded, Loading
from ldznet_cli.inference.outputs import OutputPlan
from ldznet_cli.inference.predictor import Predictor, ProbMap
from ldznet_cli.inference.prompts import Prompt, Task, labels_of
from ldznet_cli.inference.questions import Asked, Asking, asked
from ldznet_cli.inference.record_file import Key
from ldznet_cli.inference.smoothing import smoothed
from ldznet_cli.samples.atomic import write_atomically
from ldznet_cli.samples.listing import Frame
from ldznet_cli.samples.record import Record, RecordImage
from ldznet_cli.samples.templates import ENSEMBLE

WRITERS = 4

LARGE = 16_000_000
"""Pixels from which on an image's masks are finished one after the other: each takes some 20 bytes a pixel."""


def settings_of(
    predictor: Predictor, plan: OutputPlan, finish: Finish, tasks: Sequence[Task] = (), smooth: int = 1
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
        **({"smooth": smooth} if smooth > 1 else {}),
    }


def open_ledger(
    predictor: Predictor,
    plan: OutputPlan,
    threshold: float | None = None,
    *,
    finish: Finish | None = None,
    tasks: Sequence[Task] = (),
    smooth: int = 1,
    overwrite: bool = False,
    retry_failed: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Ledger:
    """The ledger of `plan`'s OUT for this predictor; `threshold` None is the predictor's own.

    `finish` says all that is done to a mask, the threshold included. With `overwrite` everything is made anew, with
    `retry_failed` only what the last run could not do. `tell` is the ledger's.
    """
    made = finish or Finish(predictor.threshold if threshold is None else threshold)
    settings = settings_of(predictor, plan, made, tasks, smooth)
    return Ledger(plan, settings, made, overwrite=overwrite, retry_failed=retry_failed, tell=tell)


def segment(
    tasks: Sequence[Task],
    predictor: Predictor,
    ledger: Ledger,
    *,
    smooth: int = 1,
    stop: Callable[[], bool] = lambda: False,
    engine: Engine | None = None,
    job: Asking | None = None,
) -> Generator[Record, None, None]:
    """A record for each image and phrase, in order, when its files are written.

    An image that cannot be read gives records with `error`, and the others go on. What the ledger knows to be done is
    told again and not made again; of images that are not among its `only` nothing is told or made. `stop` is asked
    after each image. A run that leaves nothing out writes `run.json`. The probabilities of a task are the mean over
    the `smooth` tasks around it (an odd number) that belong to its clip, as far as it has them: tasks in time's order.
    `engine` says where predictors work, in this process by default; `job` is how its workers come by theirs, which
    must be as `predictor`, when they cannot have this one. Images are read and files are written here.

    Raises UsageError and PromptError before the first image, and before anything is written: two results with one
    file, a phrase that cannot be put, another run in OUT, or the results of other images of the same names;
    NothingToDo where none of the ledger's `only` is among the tasks; later DiskFull, ModelError, and what the engine
    raises. What was written before stays, and is whole.
    """
    reach = reach_of(smooth)
    ledger.plan.check(tasks)
    predictor.check(phrases_of(prompt for task in tasks for prompt in task.prompts))

    def planned() -> Iterator[Key]:
        return (key for task in tasks for key in keys_of(task))

    loading = Loading(tasks, ledger, reach)
    left = loading.chosen
    if tasks and not left:
        raise NothingToDo(
            f"what failed in {ledger.plan.out} is not among these images: name its images, or leave --retry-failed out"
        )
    with ledger.running(tasks):
        with (
            ThreadPoolExecutor(WRITERS, "write") as writers,
            closing(loading.images()) as images,
            closing(
                asked(job or Asking(lambda: predictor), engine or LocalEngine(), images, reach > 0)
            ) as answers,
        ):
            run = _Run(predictor, ledger, writers)
            for one in smoothed(answers, reach):
                if not one.loaded.chosen:
                    continue
                yield from run.records(one)
                left -= 1
                if left and stop():
                    break
        ledger.close(planned())
        records = ledger.recorded(planned)
        if not left and records.complete():
            conclude(ledger, records, len(tasks))


class _Run:
    """What is written of an image's answers, its files by several threads."""

    def __init__(self, predictor: Predictor, ledger: Ledger, writers: ThreadPoolExecutor) -> None:
        self.predictor, self.ledger, self.writers = predictor, ledger, writers
        self.outlined = any(made.outlined for made in ledger.plan.images)

    def records(self, one: Asked) -> Iterator[Record]:
        """In the order of the task's prompts; everything of the image is written before the first of them."""
        loaded = one.loaded
        made = self._make(loaded, one.maps)
        self.ledger.resumed += len(loaded.done)
        for prompt in loaded.task.prompts:
            yield loaded.done.get(prompt) or made[prompt]

    def _make(self, loaded: Loaded, maps: Mapping[Prompt, ProbMap]) -> dict[Prompt, Record]:
        missing = loaded.missing
        if loaded.error is not None:
            made = {prompt: self._failed(loaded, prompt) for prompt in missing}
        elif missing:
            found = self._write_all(loaded, [(prompt, maps[prompt]) for prompt in missing])
            if self.ledger.plan.images:
                self._write_scene(loaded, [part for _, part in found])
            made = {prompt: record for prompt, (record, _) in zip(missing, found, strict=True)}
        else:
            made = {}
        for prompt in missing:
            self.ledger.add(made[prompt])
        return made

    def _write_all(self, loaded: Loaded, maps: Sequence[tuple[Prompt, ProbMap]]) -> list[tuple[Record, Part]]:
        assert loaded.image is not None
        if loaded.image.width * loaded.image.height > LARGE:
            return [self._write(loaded, prompt, found) for prompt, found in maps]
        futures = [self.writers.submit(self._write, loaded, prompt, found) for prompt, found in maps]
        return [future.result() for future in futures]

    def _write(self, loaded: Loaded, prompt: Prompt, found: ProbMap) -> tuple[Record, Part]:
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

    def _write_scene(self, loaded: Loaded, parts: Sequence[Part]) -> None:
        assert loaded.image is not None
        scene = Scene(loaded.task.image.path, *loaded.image.size, self.ledger.finish.threshold, parts)
        places = self.ledger.plan.image_paths(loaded.task.image.name).files
        for made in self.ledger.plan.images:
            write_atomically(places[made.name], made.encode(scene, places[made.name]))
        self.ledger.scene_written(loaded.task.image.name, loaded.task.prompts)

    def _tuned_on(self) -> str | None:
        """Of the predictor's own threshold; one that the user gave is the user's."""
        own = self.ledger.finish.threshold == self.predictor.threshold
        return self.predictor.identity.tuned_on if own else None

    def _failed(self, loaded: Loaded, prompt: Prompt) -> Record:
        return Record(**self._asked(loaded, prompt), error=loaded.error)

    def _asked(self, loaded: Loaded, prompt: Prompt) -> dict[str, Any]:
        ref, who = loaded.task.image, self.predictor.identity
        width, height = (None, None) if loaded.image is None else loaded.image.size
        several = prompt.synonyms or who.template == ENSEMBLE
        return {
            "image": RecordImage(str(ref.path), ref.name, loaded.sha256, width, height, *_place(ref.frame)),
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
            "window": loaded.window,
            "settings": self.ledger.digest,
        }


def _place(frame: Frame | None) -> tuple[int | None, float | None]:
    return (None, None) if frame is None else (frame.index, frame.time)
