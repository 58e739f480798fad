"""One scorer for each protocol and subset; a sample is measured once a protocol, and added to all its subsets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ldznet_cli.errors import UsageError
from ldznet_cli.evaluation.report import Score
from ldznet_cli.evaluation.subsets import ALL
from ldznet_cli.metrics import ClipSeg, Native, PhraseCut, Prediction, RefCoco, Scorer, Truth

AnyScorer = Scorer[Any]

PROTOCOLS: dict[str, Callable[[int, int], AnyScorer]] = {
    "clipseg": lambda size, seed: ClipSeg(size, seed=seed, exact_ap=True),
    "native": lambda _, seed: Native(seed=seed),
    "phrasecut": lambda _size, _seed: PhraseCut(),
    "refcoco": lambda _size, _seed: RefCoco(),
}
"""By name: a new scorer, given the side of clipseg's square and the seed of the intervals."""

LIMITS = (16, 4096)


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
    def outlines(self) -> bool:
        """Whether a protocol wants the ground truth drawn in PhraseCut's way as well."""
        return PhraseCut.name in self.protocols

    def score(
        self, truth: Truth, prediction: Prediction, subsets: Sequence[str], *, missing: bool = False
    ) -> None:
        """Add one sample. When the prediction does not fit (AnnotationError), nothing has been added."""
        everyone = self._of(ALL)
        measures = {name: scorer.measure(truth, prediction) for name, scorer in everyone.items()}
        for subset in subsets:
            self._missing[subset] += missing
            for name, scorer in self._of(subset).items():
                scorer.add(measures[name])

    def scores(self, ground_truth: str) -> tuple[Score, ...]:
        """All numbers, subset by subset in the order of their names; a subset that holds every sample is left out."""
        return tuple(
            score
            for name in self.protocols
            for subset in self._worth_telling(name)
            for score in self._scores(name, subset, ground_truth)
        )

    def _scores(self, name: str, subset: str, ground_truth: str) -> list[Score]:
        scorer = self._scorers[subset][name]
        return [
            Score(
                **vars(number),
                protocol=scorer.name,
                version=scorer.version,
                size=scorer.size,
                subset=subset,
                samples=scorer.samples,
                missing=self._missing[subset],
                ground_truth=ground_truth,
            )
            for number in scorer.compute()
        ]

    def _worth_telling(self, name: str) -> list[str]:
        total = self._scorers[ALL][name].samples
        parts = [subset for subset, scorers in self._scorers.items() if scorers[name].samples < total]
        return [ALL, *sorted(parts)]

    def _of(self, subset: str) -> dict[str, AnyScorer]:
        if subset not in self._scorers:
            self._scorers[subset] = {name: PROTOCOLS[name](self._size, self._seed) for name in self.protocols}
        return self._scorers[subset]
