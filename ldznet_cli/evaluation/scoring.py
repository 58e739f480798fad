"""The work of an evaluation, sample by sample: draw the truth, read the prediction, give both to every protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ldznet_cli.errors import AnnotationError, ImageError
from ldznet_cli.evaluation.answer import Answer
from ldznet_cli.evaluation.scoreboard import Scoreboard
from ldznet_cli.evaluation.subsets import subsets_of
from ldznet_cli.metrics import Prediction, Truth
from ldznet_cli.samples.sample import Sample
from ldznet_cli.samples.segmentation import Convention


@dataclass(frozen=True)
class Job:
    """A prediction and the samples that it is about (several where each annotation is one); without one, one sample
    that is missing."""

    places: tuple[int, ...]
    samples: tuple[Sample, ...]
    answer: Answer | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a job: `error` says why nothing was scored; `ious` are those that the samples are ranked by."""

    error: str | None = None
    hard: bool = False
    ious: tuple[float, ...] = ()
    presence: float | None = None
    ignored_pixels: int = 0


@dataclass(frozen=True)
class Settings:
    """What all scoreboards of one evaluation have in common."""

    protocols: tuple[str, ...]
    size: int
    seed: int


class Scoring:
    """Scores jobs on a scoreboard of its own, in whatever process it is."""

    def __init__(self, settings: Settings) -> None:
        self.board = Scoreboard(settings.protocols, settings.size, settings.seed)

    def score(self, job: Job) -> Outcome:
        """A prediction that cannot be read, or does not fit, is an outcome with an error, and leaves no trace."""
        try:
            prediction = _prediction(job)
            for sample in job.samples if prediction.hard else ():
                prediction.found(sample.width, sample.height)  # all of them fit before the first is added
            scored = [self._add(sample, prediction, missing=job.answer is None) for sample in job.samples]
        except (ImageError, AnnotationError) as error:
            return Outcome(str(error))
        return Outcome(
            hard=prediction.hard,
            ious=tuple(iou for iou, _ in scored),
            presence=prediction.presence,
            ignored_pixels=sum(pixels for _, pixels in scored),
        )

    def _add(self, sample: Sample, prediction: Prediction, *, missing: bool) -> tuple[float, int]:
        truth = truth_of(sample, self.board.conventions)
        iou = self.board.score(truth, prediction, subsets_of(sample, truth), missing=missing)
        return iou, 0 if truth.ignore is None else int(truth.ignore.sum())


def truth_of(sample: Sample, conventions: Sequence[Convention] = ()) -> Truth:
    """A sample's masks, drawn, and in these `conventions` as well."""
    return Truth(
        mask=sample.mask(),
        ignore=sample.ignore() if sample.ignored else None,
        outlined=sample.mask("phrasecut") if "phrasecut" in conventions else None,
        coco=sample.mask("coco") if "coco" in conventions else None,
        image=sample.image.name,
        absent=sample.absent,
    )


def _prediction(job: Job) -> Prediction:
    if job.answer is None:
        return Prediction.nothing()
    if job.answer.error is not None:
        raise AnnotationError(job.answer.error)
    _check_size(job.answer, job.samples)
    return job.answer.load()


def _check_size(answer: Answer, samples: Sequence[Sample]) -> None:
    expected = (samples[0].width, samples[0].height)
    if answer.image.size not in (None, expected):
        found = "x".join(map(str, answer.image.size or ()))
        raise AnnotationError(
            f"the image had {found} pixels, the ground truth's has {expected[0]}x{expected[1]}"
        )
