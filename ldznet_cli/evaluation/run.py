"""Samples against predictions: each prediction is matched, read, and given to every protocol."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from ldznet_cli import __version__
from ldznet_cli.errors import AnnotationError, ImageError, NothingToDo
from ldznet_cli.evaluation.answer import Answer
from ldznet_cli.evaluation.matching import Matcher
from ldznet_cli.evaluation.report import GroundTruth, Predictions, Report
from ldznet_cli.evaluation.scoreboard import Scoreboard
from ldznet_cli.evaluation.sources import Given, open_predictions
from ldznet_cli.evaluation.subsets import subsets_of
from ldznet_cli.metrics import ClipSeg, Prediction, Truth
from ldznet_cli.samples.coco import SampleSet, load_coco
from ldznet_cli.samples.sample import Sample

DEFAULT_PROTOCOLS = ("clipseg", "native")

_LISTED = 10
"""Failures that a report spells out."""


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
) -> Report:
    """Score predictions against a COCO-style file.

    `predictions` is segment's folder, a folder of masks named after image and phrase, a file of records, records or
    their lines as they come, or {(image name, phrase): array} with probabilities in [0, 1] or bool masks. A sample
    without a prediction counts as predicted empty, and is reported; predictions that nothing was annotated for are
    reported and not scored. `size` is the square's side for `clipseg`; `seed` draws the intervals.

    Raises NothingToDo for no predictions or no samples, AnnotationError where not one prediction fits the ground
    truth or a record is broken, UsageError for arguments that make no sense.
    """
    samples = load_coco(gt, images=images, groups=groups, per_annotation=per_annotation)
    answers = open_predictions(predictions, samples)
    run = Evaluation(samples, answers.source, protocols=protocols, size=size, seed=seed)
    for answer in answers:
        run.update(answer)
    return run.report()


class Evaluation:
    """`evaluate` step by step, for callers that show how far it is: `update` with each answer, then `report` once."""

    def __init__(
        self,
        samples: SampleSet,
        source: str,
        *,
        protocols: Sequence[str] = DEFAULT_PROTOCOLS,
        size: int = 384,
        seed: int = 0,
    ) -> None:
        if not samples.samples:
            raise NothingToDo(f"{samples.path}: no sample in it: expected annotations with masks")
        self.samples, self._source = samples, source
        self._board = Scoreboard(protocols, size, seed)
        self._matcher = Matcher(samples)
        self._size = size
        self._open = set(range(len(samples.samples)))
        self._counts: Counter[str] = Counter()
        self._ignored: Counter[str] = Counter()
        self._models: Counter[str] = Counter()
        self._geometries: Counter[str] = Counter()
        self._failures: list[str] = []
        self._ignored_pixels = 0
        self._stranger: Answer | None = None

    def update(self, answer: Answer) -> int:
        """Match and score one prediction; how many samples were scored (several when each annotation is one)."""
        self._counts["read"] += 1
        found = self._matcher.find(answer)
        if isinstance(found, str):
            self._ignored[found] += 1
            self._stranger = self._stranger or answer
            return 0
        waiting = [index for index in found if index in self._open]
        if not waiting:
            self._counts["duplicates"] += 1
            return 0
        try:
            return self._score(answer, waiting)
        except (ImageError, AnnotationError) as error:
            self._fail(answer, str(error))
            return 0

    def report(self) -> Report:
        """Score what is missing as empty, and sum up."""
        self._refuse_strangers()
        missing = len(self._open)
        for index in sorted(self._open):
            self._add(self.samples.samples[index], Prediction.nothing(), missing=True)
        self._open.clear()
        return Report(
            ground_truth=self._ground_truth(),
            predictions=self._predictions(missing),
            scores=self._board.scores(self.samples.digest),
            notes=tuple(self._notes()),
            ldznet=__version__,
        )

    def _score(self, answer: Answer, indices: Sequence[int]) -> int:
        if answer.error is not None:
            raise AnnotationError(answer.error)
        _check_size(answer, self.samples.samples[indices[0]])
        prediction = answer.load()
        for index in indices:
            self._add(self.samples.samples[index], prediction)
        self._open.difference_update(indices)
        self._counts["scored"] += 1
        self._counts["hard"] += prediction.hard
        self._models[answer.model or "unknown"] += 1
        self._geometries[answer.geometry or "unknown"] += 1
        return len(indices)

    def _add(self, sample: Sample, prediction: Prediction, *, missing: bool = False) -> None:
        truth = truth_of(sample, outlines=self._board.outlines)
        self._board.score(truth, prediction, subsets_of(sample, truth), missing=missing)
        self._ignored_pixels += 0 if truth.ignore is None else int(truth.ignore.sum())

    def _fail(self, answer: Answer, reason: str) -> None:
        self._counts["failed"] += 1
        if len(self._failures) < _LISTED:
            self._failures.append(f"{answer.where} ({answer.image.name}, {answer.phrase!r}): {reason}")

    def _refuse_strangers(self) -> None:
        """Zeros for predictions that belong to another ground truth would be worse than an error."""
        source = self._source
        if not self._counts["read"]:
            raise NothingToDo(f"{source}: no predictions: expected what `ldznet segment` gives")
        if self._stranger is not None and not self._counts["scored"] + self._counts["failed"]:
            known, other = self.samples.samples[0], self._stranger
            why = ", ".join(f"{count} {reason}" for reason, count in self._ignored.items())
            raise AnnotationError(
                f"{source}: none of {self._counts['read']} predictions fits {self.samples.path} ({why}): "
                f"found image {other.image.name!r} with phrase {other.phrase!r}, "
                f"expected such as image {known.image.name!r} with phrase {known.phrase!r}"
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
            crowd_only=samples.crowd_only,
            ignored_pixels=self._ignored_pixels,
        )

    def _predictions(self, missing: int) -> Predictions:
        return Predictions(
            source=self._source,
            missing=missing,
            **{name: self._counts[name] for name in ("read", "scored", "hard", "failed", "duplicates")},
            ignored=dict(self._ignored),
            models=dict(self._models),
            geometries=dict(self._geometries),
            failures=tuple(self._failures),
        )

    def _notes(self) -> Iterator[str]:
        others = {name: count for name, count in self._geometries.items() if not name.startswith("square")}
        if ClipSeg.name in self._board.protocols and others:
            listed = ", ".join(f"{count} {name}" for name, count in others.items())
            yield (
                f"clipseg: its own networks see the image squashed to a square; geometry of these predictions: {listed}"
            )
        if len(self._models) > 1:
            yield f"predictions of several models: {', '.join(map(str, self._models))}"


def truth_of(sample: Sample, *, outlines: bool = False) -> Truth:
    """A sample's masks, drawn; with `outlines` also as PhraseCut's evaluator draws them."""
    return Truth(
        mask=sample.mask(),
        ignore=sample.ignore() if sample.ignored else None,
        outlined=sample.mask("phrasecut") if outlines else None,
        image=sample.image.name,
    )


def _check_size(answer: Answer, sample: Sample) -> None:
    expected = (sample.width, sample.height)
    if answer.image.size not in (None, expected):
        found = "x".join(map(str, answer.image.size or ()))
        raise AnnotationError(
            f"the image had {found} pixels, the ground truth's has {expected[0]}x{expected[1]}"
        )
