"""The result of an evaluation: plain data, every number with all that it needs to be quoted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Literal

from ldznet_cli.evaluation.subsets import ALL
from ldznet_cli.metrics import Curve

SCHEMA = "ldznet.report/1"


@dataclass(frozen=True)
class Score:
    """One number, in [0, 1]; None where it cannot be had (`note` says why).

    `size` is the side of the square on which was scored, None for the images' own size. `threshold`, `at`, `span` and
    `interval` are those of `metrics.Number`. `missing` samples had no prediction and count as empty.
    """

    protocol: str
    version: str
    size: int | None
    subset: str
    metric: str
    value: float | None
    threshold: str
    at: float | None
    span: tuple[float, float] | None
    interval: tuple[float, float] | None
    note: str | None
    samples: int
    missing: int
    ground_truth: str


Kind = Literal["worst", "best", "false alarm"]


@dataclass(frozen=True)
class Ranked:
    """A sample worth looking at: `value` is its IoU, of a false alarm the presence score of a phrase that is absent.

    `protocol` and `threshold` say by which rule its IoU was found.
    """

    kind: Kind
    image: str
    phrase: str
    value: float
    protocol: str
    threshold: str


@dataclass(frozen=True)
class GroundTruth:
    """What was scored against. `ignored_pixels` were left out of the count, summed over samples."""

    path: str
    sha256: str
    groups_sha256: str | None
    images: int
    annotations: int
    samples: int
    per_annotation: bool
    crowd_regions: int
    crowd_only: int
    ignored_pixels: int


@dataclass(frozen=True)
class Predictions:
    """What came in. `read` = `scored` + `failed` + `duplicates` + all of `ignored`.

    `failed` could not be used (they are listed in `failures`, the first few); `missing` samples have none that could.
    """

    source: str
    read: int = 0
    scored: int = 0
    hard: int = 0
    failed: int = 0
    duplicates: int = 0
    missing: int = 0
    ignored: Mapping[str, int] = field(default_factory=dict)
    models: Mapping[str, int] = field(default_factory=dict)
    geometries: Mapping[str, int] = field(default_factory=dict)
    failures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """All numbers of one run. `notes` say what a reader has to know before setting them beside others.

    `curves` are by protocol, of all samples; `ranked` a few samples that are worth looking at.
    """

    ground_truth: GroundTruth
    predictions: Predictions
    scores: tuple[Score, ...]
    curves: Mapping[str, tuple[Curve, ...]] = field(default_factory=dict)
    ranked: tuple[Ranked, ...] = ()
    notes: tuple[str, ...] = ()
    ldznet: str = ""

    def score(self, protocol: str, metric: str, threshold: str | None = None, subset: str = ALL) -> Score:
        """The first score of that name (and threshold rule). Raises KeyError, naming what there is."""
        named = self._named.get((protocol, subset), [])
        for score in named:
            if score.metric == metric and threshold in (None, score.threshold):
                return score
        there = sorted({f"{score.metric} at {score.threshold}" for score in named})
        raise KeyError(
            f"{protocol} {metric} at {threshold} of {subset}: there are {', '.join(there) or 'none'}"
        )

    @cached_property
    def _named(self) -> Mapping[tuple[str, str], list[Score]]:
        """By protocol and subset: there may be thousands of categories."""
        named: dict[tuple[str, str], list[Score]] = {}
        for score in self.scores:
            named.setdefault((score.protocol, score.subset), []).append(score)
        return named

    def to_json(self) -> str:
        """Indented JSON with sorted keys."""
        data = {"schema": SCHEMA, **asdict(self)}
        return json.dumps(data, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
