"""A threshold chosen on validation data, written into the net's folder together with what it was chosen on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ldznet_cli.errors import AnnotationError, UsageError
from ldznet_cli.evaluation.report import Report, Score
from ldznet_cli.nets.manifest import NetInfo, read_info, write_info

SWEPT = ("native", "clipseg")
"""Protocols that try all 49 thresholds; the one that scores masks as they are delivered goes first."""

METRIC = "mIoU"


@dataclass(frozen=True)
class Tuned:
    """The threshold, and the score it was chosen for; `former` is what it replaced."""

    threshold: float
    former: float
    score: Score


def swept_protocol(protocols: Sequence[str]) -> str:
    """By which of these a threshold is chosen. Raises UsageError when none of them tries several."""
    for name in SWEPT:
        if name in protocols:
            return name
    raise UsageError(
        f"--tune-threshold: {', '.join(protocols)} score at one threshold: add --protocol {SWEPT[0]}"
    )


def tune(report: Report, folder: Path, digests: set[str]) -> Tuned:
    """Write the threshold of the best mIoU into the net folder's `config.json`.

    `digests` are the models that the predictions say they are of. Raises ModelError for a folder that is no net's,
    AnnotationError for masks (they have no threshold) and for predictions of another model.
    """
    info = read_info(folder)
    if report.predictions.hard:
        raise AnnotationError(
            f"{report.predictions.source}: {report.predictions.hard} predictions are hard masks, whose threshold is "
            "gone: segment with probabilities (--format prob) to tune on"
        )
    _check_model(folder, info, digests)
    score = report.score(swept_protocol([score.protocol for score in report.scores]), METRIC, "best")
    assert score.at is not None
    write_info(
        folder, replace(info, threshold=score.at, tuning=_tuning(report, score, _origin(folder, info)))
    )
    return Tuned(score.at, info.threshold, score)


def _tuning(report: Report, score: Score, origin: str) -> dict[str, Any]:
    return {
        "ground_truth": report.ground_truth.sha256,
        "protocol": f"{score.protocol}/{score.version}",
        "metric": score.metric,
        "value": score.value,
        "samples": score.samples,
        "missing": score.missing,
        "model_digest": origin,
        "ldznet": report.ldznet,
    }


def _origin(folder: Path, info: NetInfo) -> str:
    """The digest of the net before any tuning: the threshold is part of a digest."""
    from ldznet_cli.nets import digest_of

    return str(info.tuning.get("model_digest") or digest_of(folder))


def _check_model(folder: Path, info: NetInfo, digests: set[str]) -> None:
    from ldznet_cli.nets import digest_of

    strangers = sorted(digests - {digest_of(folder), _origin(folder, info)})
    if strangers:
        raise AnnotationError(
            f"the predictions are of the model {strangers[0][:12]}, {folder} holds {digest_of(folder)[:12]}: "
            "tune on predictions of that folder's net"
        )
