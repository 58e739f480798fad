"""What every protocol is given and what it gives: a truth and a prediction in, numbers with their names out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ldznet_cli.errors import AnnotationError
from ldznet_cli.metrics.intervals import Values, interval_of
from ldznet_cli.metrics.presence import presence
from ldznet_cli.samples.geometry import to_image_size

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Truth:
    """The ground truth of one sample, bool (H, W) at the annotated size.

    `ignore` are pixels that do not count; `outlined` is the mask as PhraseCut's evaluator draws polygons, `coco` as
    pycocotools does, where they differ; `image` says which samples belong together when images are redrawn for
    intervals. `absent`: the annotations say that the phrase names nothing, which no mask at all says where it is None.
    """

    mask: Mask
    ignore: Mask | None = None
    outlined: Mask | None = None
    coco: Mask | None = None
    image: str = ""
    absent: bool | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.mask.shape[1], self.mask.shape[0]


@dataclass(frozen=True)
class Prediction:
    """What was predicted for one sample: probabilities (h, w) in [0, 1] on any grid, or else a hard mask (H, W).

    `threshold` is the prediction's own: foreground is p > threshold. `score`, in [0, 1], is what the predictor says of
    whether the phrase is there at all. Raises AnnotationError for both or neither, and for values that are no
    probabilities.
    """

    prob: NDArray[np.floating[Any]] | None = None
    mask: Mask | None = None
    threshold: float = 0.5
    score: float | None = None

    def __post_init__(self) -> None:
        if (self.prob is None) == (self.mask is None):
            raise AnnotationError("a prediction is a probability map or a mask: expected one of the two")
        if self.prob is not None and not (
            self.prob.size and self.prob.dtype.kind == "f" and self.prob.min() >= 0 and self.prob.max() <= 1
        ):
            raise AnnotationError(
                "a map holds more than floats in [0, 1]: expected probabilities, after the sigmoid"
            )
        if self.score is not None and not 0 <= self.score <= 1:
            raise AnnotationError(f"the score is {self.score:g}: expected a number in [0, 1]")

    @classmethod
    def nothing(cls) -> Prediction:
        """What a missing prediction counts as: probability 0 everywhere."""
        return cls(np.zeros((1, 1), dtype=np.float32))

    @property
    def hard(self) -> bool:
        """Whether there is only a mask, so that no score can be ranked."""
        return self.prob is None

    @property
    def presence(self) -> float | None:
        """Its own score, else the mean of the map's top 1 %; None for a mask that comes without a score."""
        if self.score is not None or self.prob is None:
            return self.score
        return presence(self.prob)

    def scores(self, width: int, height: int) -> NDArray[np.floating[Any]]:
        """The probabilities at the image's size (height, width); a hard mask's are 0 and 1."""
        if self.prob is None:
            return self._hard_mask(width, height).astype(np.float32)
        if self.prob.shape == (height, width):
            return self.prob
        return to_image_size(self.prob.astype(np.float32), width, height)

    def found(self, width: int, height: int) -> Mask:
        """The mask at the image's size, at the prediction's own threshold."""
        if self.prob is None:
            return self._hard_mask(width, height)
        return np.asarray(self.scores(width, height) > self.threshold)

    def _hard_mask(self, width: int, height: int) -> Mask:
        assert self.mask is not None
        if self.mask.shape != (height, width):
            found = "x".join(map(str, self.mask.shape[::-1]))
            raise AnnotationError(f"a mask of {found} pixels: expected the image's {width}x{height}")
        return self.mask


@dataclass(frozen=True)
class Number:
    """One result. `value` is in [0, 1], None where it cannot be had (`note` says why). (clipseg's `AP`, by Simpson's
    rule, is above 1 at times, where samples are few.)

    `threshold` is the rule by which pixels became foreground: "0.3"; "own" (each prediction's own); "best" (the
    highest over all thresholds, chosen on the same data, found `at`); or what a curve runs over. `span` is the recall
    that an AP covers, `drawn` the number in each bootstrap replicate ("best" is chosen anew in each).
    """

    metric: str
    value: float | None
    threshold: str
    at: float | None = None
    span: tuple[float, float] | None = None
    note: str | None = None
    drawn: Values | None = field(default=None, repr=False, compare=False)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % bootstrap interval over images."""
        return interval_of(self.drawn)


@dataclass(frozen=True)
class Curve:
    """A line to plot: "threshold" → a metric, "recall" → precision, "calibration": mean probability → true share.

    `weights` are the pixels behind each point, where they differ.
    """

    kind: Literal["threshold", "recall", "calibration"]
    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    weights: tuple[int, ...] = ()


class Measured(Protocol):
    """What every protocol keeps of one sample."""

    @property
    def iou(self) -> float:
        """Its IoU, by which samples can be ranked: at its own threshold where the protocol has it, else at 0.5."""


Measure = TypeVar("Measure", bound=Measured)


class Scorer(ABC, Generic[Measure]):
    """One protocol: update with samples, merge with scorers of the same protocol, compute. Memory is constant.

    `update` is `add(measure(...))`: a sample that belongs to several subsets is measured once and added to each.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    size: int | None = None
    """The side of the square on which is scored; None: the image's own size."""

    def update(self, truth: Truth, prediction: Prediction) -> None:
        """Score one sample."""
        self.add(self.measure(truth, prediction))

    @property
    @abstractmethod
    def samples(self) -> int:
        """How many samples have been seen."""

    @abstractmethod
    def measure(self, truth: Truth, prediction: Prediction) -> Measure:
        """All that this protocol keeps of one sample. Raises AnnotationError for a mask of the wrong size."""

    @abstractmethod
    def add(self, measure: Measure) -> None:
        """Add what `measure` gave."""

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Add what another scorer of the same protocol and size has seen; the order makes no difference."""

    @abstractmethod
    def compute(self) -> Sequence[Number]:
        """The protocol's numbers; at least one sample must have been seen."""

    def curves(self) -> Sequence[Curve]:
        """What can be plotted of it; at least one sample must have been seen."""
        return ()
