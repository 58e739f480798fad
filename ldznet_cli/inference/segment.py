"""The run: images and phrases in, masks and records out, one image after the other, whatever happens to one of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from PIL import Image

from ldznet_cli import __version__
from ldznet_cli.errors import ImageError
from ldznet_cli.inference.decision import Decision, decide
from ldznet_cli.inference.ledger import Ledger
from ldznet_cli.inference.outputs import OutputPlan
from ldznet_cli.inference.predictor import Predictor, ProbMap
from ldznet_cli.inference.prompts import Prompt, Task
from ldznet_cli.samples.images import read_image, sha256_of
from ldznet_cli.samples.masks import area, box, encode_rle
from ldznet_cli.samples.record import Record, RecordImage

FORMAT = "ldznet.run/1"
AHEAD = 2
"""Images that are read and decoded while the one before them is at work: more would only fill the memory."""

WRITERS = 4
_PACKAGES = ("diffusers", "numpy", "pillow", "torch", "transformers")


@dataclass(frozen=True)
class _Loaded:
    """A task with what is there already, and with the image (None: not needed), or why it cannot be read."""

    task: Task
    done: dict[Prompt, Record]
    sha256: str | None = None
    image: Image.Image | None = None
    error: str | None = None


def settings_of(predictor: Predictor, plan: OutputPlan, threshold: float) -> dict[str, Any]:
    """All that decides what a run writes for an image and a phrase, as JSON values."""
    return {
        "format": FORMAT,
        "predictor": predictor.identity.to_dict(),
        "threshold": threshold,
        "overlay": plan.draw is not None,
        "rle": plan.rle,
    }


def open_ledger(
    predictor: Predictor, plan: OutputPlan, threshold: float | None = None, *, overwrite: bool = False
) -> Ledger:
    """The ledger of `plan`'s OUT for this predictor; `threshold` None is the predictor's own.

    With `overwrite` everything is made anew.
    """
    cut = predictor.threshold if threshold is None else threshold
    return Ledger(plan, settings_of(predictor, plan, cut), overwrite=overwrite)


def segment(
    tasks: Sequence[Task],
    predictor: Predictor,
    ledger: Ledger,
    *,
    stop: Callable[[], bool] = lambda: False,
) -> Generator[Record, None, None]:
    """A record for each image and phrase, in order, when its files are written.

    An image that cannot be read gives records with `error`, and the others go on. What the ledger knows to be done is
    told again and not made again. `stop` is asked after each image. A run that comes to its end writes `run.json`.

    Raises UsageError and PromptError before the first image: two results with one file, a phrase that cannot be put;
    later DiskFull, ModelError. What was written before stays, and is whole.
    """
    ledger.plan.check(tasks)
    predictor.check(list(dict.fromkeys(prompt.phrase for task in tasks for prompt in task.prompts)))
    planned = [(task.image.name, prompt.label) for task in tasks for prompt in task.prompts]
    told = failed = 0
    with (
        ThreadPoolExecutor(WRITERS, "write") as writers,
        closing(_ahead(tasks, (run := _Run(predictor, ledger, writers)).load)) as images,
    ):
        for loaded in images:
            for record in run.records(loaded):
                told, failed = told + 1, failed + (record.error is not None)
                yield record
            if told < len(planned) and stop():
                break
    ledger.close(planned)
    if told == len(planned):
        ledger.write_manifest(_manifest(tasks, ledger, failed))


class _Run:
    """One image's way: read in a thread, put to the predictor, its files written by several threads."""

    def __init__(self, predictor: Predictor, ledger: Ledger, writers: ThreadPoolExecutor) -> None:
        self.predictor, self.ledger, self.writers = predictor, ledger, writers
        self.threshold: float = ledger.settings["threshold"]

    def load(self, task: Task) -> _Loaded:
        """In a reader's thread."""
        try:
            sha256 = sha256_of(task.image.path)
            found = {prompt: self.ledger.find(task.image, prompt, sha256) for prompt in task.prompts}
            done = {prompt: record for prompt, record in found.items() if record is not None}
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
            maps = self.predictor.predict(loaded.image, loaded.sha256, [p.phrase for p in missing])
            futures = [
                self.writers.submit(self._write, loaded, prompt, found)
                for prompt, found in zip(missing, maps, strict=True)
            ]
            made = {prompt: future.result() for prompt, future in zip(missing, futures, strict=True)}
        else:
            made = {}
        for prompt in missing:
            self.ledger.add(made[prompt])
        return made

    def _write(self, loaded: _Loaded, prompt: Prompt, found: ProbMap) -> Record:
        """In a writer's thread."""
        assert loaded.image is not None
        decision = decide(found.prob, *loaded.image.size, self.threshold)
        paths = self.ledger.plan.paths(loaded.task.image.name, prompt)
        self.ledger.plan.write(paths, loaded.image, decision, prompt.label)
        return Record(
            **self._asked(loaded, prompt),
            geometry=found.geometry,
            threshold=self.threshold,
            mask=str(paths.mask),
            overlay=None if paths.overlay is None else str(paths.overlay),
            prob=str(paths.prob),
            **_measured(decision),
            rle=encode_rle(decision.mask) if self.ledger.plan.rle else None,
        )

    def _failed(self, loaded: _Loaded, prompt: Prompt) -> Record:
        return Record(**self._asked(loaded, prompt), error=loaded.error)

    def _asked(self, loaded: _Loaded, prompt: Prompt) -> dict[str, Any]:
        ref, who = loaded.task.image, self.predictor.identity
        width, height = (None, None) if loaded.image is None else loaded.image.size
        return {
            "image": RecordImage(str(ref.path), ref.name, loaded.sha256, width, height),
            "phrase": prompt.phrase,
            "label": prompt.label,
            "prompt": who.template.replace("{}", prompt.phrase),
            "predictor": who.name,
            "model": who.model,
            "model_digest": who.model_digest,
            "ldm": who.ldm,
            "ldm_digest": who.ldm_digest,
            "seed": who.seed,
            "draws": who.draws,
            "settings": self.ledger.digest,
        }


def _measured(decision: Decision) -> dict[str, Any]:
    return {"score": decision.score, "area": area(decision.mask), "box": box(decision.mask)}


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


def _manifest(tasks: Sequence[Task], ledger: Ledger, failed: int) -> Mapping[str, Any]:
    """No times: the same command writes the same bytes."""
    return {
        "format": FORMAT,
        "settings": ledger.settings,
        "settings_digest": ledger.digest,
        "versions": {"ldznet-cli": __version__, **{name: version(name) for name in _PACKAGES}},
        "images": len(tasks),
        "masks": sum(len(task.prompts) for task in tasks) - failed,
        "failed": failed,
    }
