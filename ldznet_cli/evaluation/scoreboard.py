"""One scorer for each protocol and subset; a sample is measured once a protocol, and added to all its subsets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ldznet_cli.errors import UsageError
from ldznet_cli.evaluation.report import Score
from ldznet_cli.evaluation.subsets import ALL, CATEGORY
from ldznet_cli.metrics import ClipSeg, Curve, Native, PhraseCut, Prediction, RefCoco, Scorer, Truth
from ldznet_cli.metrics.intervals import REPLICATES, Values
from ldznet_cli.samples.segmentation import Convention

AnyScorer = Scorer[Any]

Depth = Literal["full", "subset", "category"]
"""How much is kept: everything; all but AP's interval; values alone, since categories may be thousands."""

LIMITS = (16, 4096)

_CONVENTIONS: dict[str, Convention] = {PhraseCut.name: "phrasecut", RefCoco.name: "coco"}
"""How protocols want polygons drawn that have a way of their own."""


def _clipseg(size: int, seed: int, depth: Depth) -> ClipSeg:
    exact, replicates = depth != "category", _replicates(depth)
    return ClipSeg(size, seed=seed, exact_ap=exact, ap_interval=depth == "full", replicates=replicates)


def _native(_size: int, seed: int, depth: Depth) -> Native:
    return Native(seed=seed, exact_ap=depth != "category", replicates=_replicates(depth))


def _replicates(depth: Depth) -> int:
    return 0 if depth == "category" else REPLICATES


PROTOCOLS: dict[str, Callable[[int, int, Depth], AnyScorer]] = {
    "clipseg": _clipseg,
    "native": _native,
    "phrasecut": lambda _size, seed, depth: PhraseCut(seed=seed, replicates=_replicates(depth)),
    "refcoco": lambda _size, seed, depth: RefCoco(seed=seed, replicates=_replicates(depth)),
}
"""By name: a new scorer, given the side of clipseg's square, the seed of the intervals, and how much it is to keep."""


def ranked_by(protocols: Sequence[str]) -> tuple[str, str]:
    """(protocol, threshold rule) that samples are ranked by: masks as they are delivered, where that is scored."""
    delivered = [name for name in protocols if name in (Native.name, PhraseCut.name)]
    return (delivered[0], "own") if delivered else (protocols[0], "0.5")


@dataclass(frozen=True)
class Result:
    """A number, and what it was in each bootstrap replicate."""

    score: Score
    drawn: Values | None = None


class Scoreboard:
    """Several protocols in one pass. Raises UsageError for an unknown protocol or a size out of range."""

    def __init__(self, protocols: Sequence[str], size: int = 384, seed: int = 0) -> None:
        for name in protocols:
            if name not in PROTOCOLS:
                raise UsageError(f"unknown protocol {name!r}: expected {', '.join(PROTOCOLS)}")
        if not protocols or not LIMITS[0] <= size <= LIMITS[1]:
            raise UsageError(f"size {size}: expected {LIMITS[0]} to {LIMITS[1]}, and at least one protocol")
        self.protocols = tuple(dict.fromkeys(protocols))
        self._size, self._seed = size, seed
        self._scorers: dict[str, dict[str, AnyScorer]] = {}
        self._missing: Counter[str] = Counter()

    @property
    def conventions(self) -> tuple[Convention, ...]:
        """The ways of their own in which protocols want polygons drawn."""
        return tuple(_CONVENTIONS[name] for name in self.protocols if name in _CONVENTIONS)

    def score(
        self, truth: Truth, prediction: Prediction, subsets: Sequence[str], *, missing: bool = False
    ) -> float:
        """Add one sample; gives the IoU that it is ranked by.

        When the prediction does not fit (AnnotationError), nothing has been added.
        """
        everyone = self._of(ALL)
        measures = {name: scorer.measure(truth, prediction) for name, scorer in everyone.items()}
        for subset in subsets:
            self._missing[subset] += missing
            for name, scorer in self._of(subset).items():
                scorer.add(measures[name])
        return float(measures[ranked_by(self.protocols)[0]].iou)

    def merge(self, other: Scoreboard) -> None:
        """Add what a scoreboard of the same settings has seen; the order makes no difference."""
        self._missing.update(other._missing)
        for subset, scorers in other._scorers.items():
            for name, scorer in self._of(subset).items():
                scorer.merge(scorers[name])

    def results(self, ground_truth: str) -> list[Result]:
        """All numbers, subset by subset in the order of their names; a subset that holds every sample is left out."""
        return [
            result
            for name in self.protocols
            for subset in self._worth_telling(name)
            for result in self._results(name, subset, ground_truth)
        ]

    def curves(self) -> dict[str, tuple[Curve, ...]]:
        """What can be plotted, of all samples, by protocol."""
        return {name: tuple(scorer.curves()) for name, scorer in self._of(ALL).items()}

    def _results(self, name: str, subset: str, ground_truth: str) -> list[Result]:
        scorer = self._scorers[subset][name]
        return [
            Result(
                Score(
                    protocol=scorer.name,
                    version=scorer.version,
                    size=scorer.size,
                    subset=subset,
                    metric=number.metric,
                    value=number.value,
                    threshold=number.threshold,
                    at=number.at,
                    span=number.span,
                    interval=number.interval,
                    note=number.note,
                    samples=scorer.samples,
                    missing=self._missing[subset],
                    ground_truth=ground_truth,
                ),
                number.drawn,
            )
            for number in scorer.compute()
        ]

    def _worth_telling(self, name: str) -> list[str]:
        total = self._scorers[ALL][name].samples
        parts = [subset for subset, scorers in self._scorers.items() if scorers[name].samples < total]
        return [ALL, *sorted(parts)]

    def _of(self, subset: str) -> dict[str, AnyScorer]:
        if subset not in self._scorers:
            depth: Depth = (
                "full" if subset == ALL else "category" if subset.startswith(CATEGORY) else "subset"
            )
            self._scorers[subset] = {
                name: PROTOCOLS[name](self._size, self._seed, depth) for name in self.protocols
            }
        return self._scorers[subset]
