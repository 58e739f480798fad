"""Means over seeds with 95 % intervals, and differences: bootstrap over seeds first, then over images.

Images are redrawn together for all runs (replicate k of every run is over the same images), so differences are paired
in images; each net's seeds are redrawn by themselves. Redrawing a few seeds makes intervals that are too narrow, so
that differences have Welch's t over the seeds beside them.
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
    """A number with its 95 % interval; `seeds` is over how many runs it is a mean.

    With one seed the interval is over images alone; it is NaN where no replicates were kept. `p`: of a difference this
    great, or greater, where there is none; Welch's t (1947) over seeds, images as they are. None for what is no
    difference, and for single seeds.
    """

    value: float
    low: float
    high: float
    seeds: int
    p: float | None = None

    @property
    def excludes_zero(self) -> bool:
        """Whether, as a difference, its sign is sure at this level."""
        return self.low > 0 or self.high < 0


def mean(runs: Sequence[Result], name: str) -> Estimate:
    """The mean of a number over runs of one net that differ in their seed alone."""
    value = float(np.mean([run.numbers[name] for run in runs]))
    return _estimate(value, _redrawn(runs, name, 0), len(runs))


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
    nets: dict[tuple[str, ...], Values] = {}
    drawn = np.zeros(1)
    for term in terms:
        net = tuple(run.job for run in term.runs)
        values = np.array([run.numbers[term.name] for run in term.runs])
        nets[net] = nets.get(net, np.zeros(1)) + term.weight * values
        drawn = drawn + term.weight * _redrawn(term.runs, term.name, list(nets).index(net))
    value = float(sum(values.mean() for values in nets.values()))
    return _estimate(value, drawn, min(map(len, nets)), _welch(list(nets.values())))


def _welch(nets: Sequence[Values]) -> float | None:
    """p of a sum of means, each over a net's seeds, being zero."""
    from scipy import stats

    if any(len(values) < 2 for values in nets):
        return None
    parts = [float(values.var(ddof=1)) / len(values) for values in nets]
    if not sum(parts):
        return None
    degrees = sum(parts) ** 2 / sum(
        part**2 / (len(values) - 1) for part, values in zip(parts, nets, strict=True)
    )
    t = sum(float(values.mean()) for values in nets) / np.sqrt(sum(parts))
    return float(2 * stats.t.sf(abs(t), degrees))


def _redrawn(runs: Sequence[Result], name: str, stream: int) -> Values:
    """(REDRAWN * K,) means over redrawn seeds, each on its replicate of the images."""
    if any(name not in run.replicates for run in runs):  # one image alone cannot be redrawn, nor some numbers
        return np.array([np.nan])
    replicates = np.stack([run.replicates[name] for run in runs])  # (seeds, K)
    draw = np.random.Generator(np.random.Philox(key=[len(runs), stream]))
    chosen = draw.integers(0, len(runs), (REDRAWN, len(runs), replicates.shape[1]))
    return np.asarray(np.take_along_axis(replicates[None], chosen, axis=1).mean(axis=1).ravel())


def _estimate(value: float, drawn: Values, seeds: int, p: float | None = None) -> Estimate:
    low, high = interval_of(drawn) or (np.nan, np.nan)
    return Estimate(value, low, high, seeds, p)
