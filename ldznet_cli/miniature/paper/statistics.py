"""Means over seeds with 95 % intervals, and differences: bootstrap over seeds first, then over images.

Images are redrawn together for all runs (replicate k of every run is over the same images), so differences are paired
in images; each net's seeds are redrawn by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ldznet_cli.metrics.intervals import interval_of
from ldznet_cli.miniature.paper.results import Result

Values = NDArray[np.float64]

REDRAWN = 10
"""How often seeds are redrawn for each replicate of the images."""


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; `seeds` is over how many runs it is a mean, `spread` their standard deviation.

    With one seed the interval is over images alone.
    """

    value: float
    low: float
    high: float
    seeds: int
    spread: float | None = None

    @property
    def excludes_zero(self) -> bool:
        """Whether, as a difference, its sign is sure at this level."""
        return self.low > 0 or self.high < 0


def mean(runs: Sequence[Result], name: str) -> Estimate:
    """The mean of a number over runs of one net that differ in their seed alone."""
    values = np.array([run.numbers[name] for run in runs])
    return _estimate(float(values.mean()), _redrawn(runs, name, 0), values)


@dataclass(frozen=True)
class Term:
    """A net's mean of one number, and how it counts in a sum."""

    weight: float
    runs: Sequence[Result]
    name: str


def difference(
    runs: Sequence[Result], others: Sequence[Result], name: str, other_name: str | None = None
) -> Estimate:
    """The first's mean less the second's."""
    return combination((Term(1, runs, name), Term(-1, others, other_name or name)))


def combination(terms: Sequence[Term]) -> Estimate:
    """The weighted sum of means; terms over the same runs redraw their seeds together."""
    nets: list[tuple[str, ...]] = []
    value, drawn = 0.0, np.zeros(1)
    for term in terms:
        net = tuple(run.job for run in term.runs)
        if net not in nets:
            nets.append(net)
        value += term.weight * float(np.mean([run.numbers[term.name] for run in term.runs]))
        drawn = drawn + term.weight * _redrawn(term.runs, term.name, nets.index(net))
    return _estimate(value, drawn, np.array([]), min(len(term.runs) for term in terms))


def _redrawn(runs: Sequence[Result], name: str, stream: int) -> Values:
    """(REDRAWN * K,) means over redrawn seeds, each on its replicate of the images."""
    if any(name not in run.replicates for run in runs):  # one image alone cannot be redrawn
        return np.array([sum(run.numbers[name] for run in runs) / len(runs)])
    replicates = np.stack([run.replicates[name] for run in runs])  # (seeds, K)
    draw = np.random.Generator(np.random.Philox(key=[len(runs), stream]))
    chosen = draw.integers(0, len(runs), (REDRAWN, len(runs), replicates.shape[1]))
    return np.asarray(np.take_along_axis(replicates[None], chosen, axis=1).mean(axis=1).ravel())


def _estimate(value: float, drawn: Values, values: Values, seeds: int | None = None) -> Estimate:
    low, high = interval_of(drawn) or (value, value)
    spread = float(values.std(ddof=1)) if len(values) > 1 else None
    return Estimate(value, low, high, len(values) if seeds is None else seeds, spread)
