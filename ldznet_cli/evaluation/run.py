"""Samples against predictions: each prediction is matched, read, and given to every protocol."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from ldznet_cli import __version__
from ldznet_cli.errors import NothingToDo, UsageError
from ldznet_cli.evaluation.answer import Answer
from ldznet_cli.evaluation.intake import Intake
from ldznet_cli.evaluation.matching import Matcher
from ldznet_cli.evaluation.ranking import Ranking, Shown
from ldznet_cli.evaluation.report import GroundTruth, Report
from ldznet_cli.evaluation.scoreboard import Result, Scoreboard, ranked_by
from ldznet_cli.evaluation.scoring import Job, Outcome, Settings
from ldznet_cli.evaluation.sources import Given, open_predictions
from ldznet_cli.evaluation.workers import Here, Processes, Workers
from ldznet_cli.metrics import ClipSeg
from ldznet_cli.samples.coco import SampleSet, load_coco

DEFAULT_PROTOCOLS = ("clipseg", "native")


def evaluate(
    gt: str | Path,
    predictions: Given,
    *,
    images: str | Path | None = None,
    groups: str | Path | None = None,
    protocols: Sequence[str] = DEFAULT_PROTOCOLS,
    size: int = 384,
    per_annotation: bool = False,
    seed: int = 0,
    workers: int = 1,
) -> Report:
    """Score predictions against a COCO-style file.

    `predictions` is segment's folder, a folder of masks named after image and phrase, a file of records or of COCO
    results, records or their lines as they come, or {(image name, phrase): array} with probabilities in [0, 1] or bool
    masks. A sample without a prediction counts as predicted empty, and is reported; predictions that nothing was
    annotated for are reported and not scored. `size` is the square's side for `clipseg`; `seed` draws the intervals;
    several `workers` are processes, which give the same numbers to the last digit.

    Raises NothingToDo for no predictions or no samples, AnnotationError where not one prediction fits the ground
    truth or a record is broken, UsageError for arguments that make no sense, and for predictions of a model whose
    threshold was tuned on this very ground truth.
    """
    samples = load_coco(gt, images=images, groups=groups, per_annotation=per_annotation)
    answers = open_predictions(predictions, samples)
    with Evaluation(
        samples, answers.source, protocols=protocols, size=size, seed=seed, workers=workers
    ) as run:
        for answer in answers:
            run.update(answer)
        return run.report()


class Evaluation:
    """`evaluate` step by step, for callers that show how far it is: `update` with each answer, then `report` once.

    After that `results` are the numbers with their bootstrap replicates, and `shown` samples worth looking at. `tuning`
    says that a threshold is sought, for which its own ground truth is no offence.
    """

    def __init__(
        self,
        samples: SampleSet,
        source: str,
        *,
        protocols: Sequence[str] = DEFAULT_PROTOCOLS,
        size: int = 384,
        seed: int = 0,
        workers: int = 1,
        tuning: bool = False,
    ) -> None:
        if not samples.samples:
            raise NothingToDo(f"{samples.path}: no sample in it: expected annotations with masks")
        self.samples, self.source = samples, source
        if workers < 1:
            raise UsageError(f"workers: expected 1 or more, found {workers}")
        self._size = size
        self.protocols = Scoreboard(protocols, size, seed).protocols
        settings = Settings(self.protocols, size, seed)
        self._workers: Workers = Here(settings) if workers == 1 else Processes(settings, workers)
        self._matcher = Matcher(samples)
        self._tuning = tuning
        self._open = set(range(len(samples.samples)))
        self._busy: set[int] = set()
        self._ranking = Ranking(ranked_by(self.protocols))
        self.intake = Intake()
        self.results: list[Result] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._workers.close()

    @property
    def shown(self) -> list[Shown]:
        """A few samples of each kind with their predictions."""
        return self._ranking.shown()

    def update(self, answer: Answer) -> int:
        """Match and score one prediction; how many samples have been scored meanwhile."""
        self.intake.read += 1
        found = self._matcher.find(answer)
        if isinstance(found, str):
            self.intake.ignore(found, answer)
            return 0
        self._refuse_tuned(answer)
        done = self._settle(self._workers.rest()) if self._busy.intersection(found) else 0
        waiting = tuple(index for index in found if index in self._open)
        if not waiting:
            self.intake.duplicates += 1
            return done
        self._busy.update(waiting)
        return done + self._settle(self._workers.put(self._job(waiting, answer)))

    def report(self) -> Report:
        """Score what is missing as empty, and sum up."""
        self._settle(self._workers.rest())
        self.intake.refuse_strangers(self.samples, self.source)
        missing = sorted(self._open)
        for index in missing:
            self._settle(self._workers.put(self._job((index,), None)))
        self._settle(self._workers.rest())
        board = self._workers.board()
        self.results = board.results(self.samples.digest)
        return Report(
            ground_truth=self._ground_truth(),
            predictions=self.intake.summary(self.source, len(missing)),
            scores=tuple(result.score for result in self.results),
            curves=board.curves(),
            ranked=tuple(shown.ranked for shown in self.shown),
            notes=tuple(self._notes()),
            ldznet=__version__,
        )

    def _job(self, places: tuple[int, ...], answer: Answer | None) -> Job:
        return Job(places, tuple(self.samples.samples[place] for place in places), answer)

    def _settle(self, finished: Iterable[tuple[Job, Outcome]]) -> int:
        """Take note of what became of jobs; how many samples were scored."""
        scored = 0
        for job, outcome in finished:
            self._busy.difference_update(job.places)
            self.intake.ignored_pixels += outcome.ignored_pixels
            if job.answer is not None:
                self.intake.settle(job.answer, outcome)
            if outcome.error is None:
                self._open.difference_update(job.places)
                self._ranking.add(job, outcome)
                scored += len(job.places)
        return scored

    def _refuse_tuned(self, answer: Answer) -> None:
        if answer.tuned_on == self.samples.digest and not self._tuning:
            raise UsageError(
                f"{answer.where}: the threshold of {answer.model or 'this model'} was tuned on {self.samples.path} "
                "itself, which is no test of it any more: evaluate on other data, or segment with a --threshold of "
                "your own"
            )

    def _ground_truth(self) -> GroundTruth:
        samples = self.samples
        return GroundTruth(
            path=str(samples.path),
            sha256=samples.digest,
            groups_sha256=samples.groups_digest,
            images=len(samples.by_image()),
            annotations=samples.annotations,
            samples=len(samples.samples),
            per_annotation=samples.per_annotation,
            crowd_regions=samples.crowd_regions,
            crowd_only=sum(len(phrases) for phrases in samples.crowd_only.values()),
            ignored_pixels=self.intake.ignored_pixels,
        )

    def _notes(self) -> Iterator[str]:
        others = {
            name: count for name, count in self.intake.geometries.items() if name != f"square {self._size}"
        }
        if ClipSeg.name in self.protocols and others:
            listed = ", ".join(f"{count} {name}" for name, count in others.items())
            yield (
                "clipseg: its own networks see the image squashed to the square that is scored; "
                f"geometry of these predictions: {listed}"
            )
        if len(self.intake.models) > 1:
            yield f"predictions of several models: {', '.join(map(str, self.intake.models))}"
        elif len(self.intake.settings) > 1:
            yield (
                f"predictions of one model with {len(self.intake.settings)} different settings, such as thresholds: "
                "`ldznet segment` with one of them makes the others anew"
            )
