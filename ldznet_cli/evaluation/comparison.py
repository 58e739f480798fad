"""Two sets of predictions for the same samples: each number's difference, with its paired interval."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ldznet_cli.evaluation.report import Report, Score
from ldznet_cli.evaluation.scoreboard import Result
from ldznet_cli.metrics import interval_of

SCHEMA = "ldznet.comparison/1"


@dataclass(frozen=True)
class Difference:
    """One number of both: `difference` is b - a, `interval` its 95 % bootstrap interval over images, in which the same
    images are redrawn for both. None where one of them cannot be had."""

    a: Score
    b: Score
    difference: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Comparison:
    """Two reports over the same samples, and what lies between them."""

    a: Report
    b: Report
    differences: tuple[Difference, ...]

    def to_json(self) -> str:
        """Indented JSON with sorted keys."""
        data: dict[str, Any] = {"schema": SCHEMA}
        data |= {"a": json.loads(self.a.to_json()), "b": json.loads(self.b.to_json())}
        data["differences"] = [_plain(difference) for difference in self.differences]
        return json.dumps(data, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)


def compared(a: Report, b: Report, results: tuple[Sequence[Result], Sequence[Result]]) -> Comparison:
    """`results` are the two evaluations' own; both have scored every sample of one ground truth, what has no prediction
    as empty, so that the bootstrap draws the same images for both."""
    theirs = {_name(result.score): result for result in results[1]}
    pairs = [(mine, theirs[_name(mine.score)]) for mine in results[0] if _name(mine.score) in theirs]
    return Comparison(a, b, tuple(_difference(*pair) for pair in pairs))


def _name(score: Score) -> tuple[str, str, str, str]:
    return score.protocol, score.subset, score.metric, score.threshold


def _difference(a: Result, b: Result) -> Difference:
    value = None if a.score.value is None or b.score.value is None else b.score.value - a.score.value
    drawn = None if value is None or a.drawn is None or b.drawn is None else b.drawn - a.drawn
    return Difference(a.score, b.score, value, interval_of(drawn))


def _plain(difference: Difference) -> dict[str, Any]:
    """What both have in common once, the rest by side."""
    a, b = asdict(difference.a), asdict(difference.b)
    own = ("value", "interval", "at", "span", "note", "missing")
    shared = {key: value for key, value in a.items() if key not in own}
    sides = {name: {key: side[key] for key in own} for name, side in (("a", a), ("b", b))}
    return shared | sides | {"difference": difference.difference, "interval": difference.interval}
