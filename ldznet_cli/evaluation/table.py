"""A report as tables for people: percentages, every table headed by what its numbers mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ldznet_cli.evaluation.report import Report, Score
from ldznet_cli.evaluation.subsets import ALL

COLUMNS = {
    "clipseg": (("mIoU", "0.3"), ("mIoU", "0.5"), ("mIoU", "best"), ("IoU_FG", "0.5"), ("AP", None)),
    "native": (("mIoU", "own"), ("mIoU", "0.5"), ("mIoU", "best"), ("IoU_FG", "own"), ("AP", None)),
    "phrasecut": (("mean_IoU", None), ("cumulative_IoU", None), ("acc@0.5", None)),
    "refcoco": (("mIoU", None), ("oIoU", None), ("Pr@0.5", None)),
}
"""What a subset's line shows of each protocol."""

SWEPT = "all"
"""The column of what has no single threshold: AP."""


@dataclass(frozen=True)
class Table:
    """Cells as text; the first column is the name of its row."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables_of(report: Report) -> list[Table]:
    """For each protocol one table of all samples and, where there are subsets, one with a line for each."""
    protocols = dict.fromkeys(score.protocol for score in report.scores)
    return [table for name in protocols for table in _protocol(name, report)]


def _protocol(name: str, report: Report) -> Iterator[Table]:
    scores = [score for score in report.scores if score.protocol == name]
    everyone = [score for score in scores if score.subset == ALL]
    yield _matrix(_title(everyone[0], report), everyone)
    subsets = list(dict.fromkeys(score.subset for score in scores))
    if len(subsets) > 1:
        yield _by_subset(name, report, subsets)


def _title(score: Score, report: Report) -> str:
    size = f"{score.size}x{score.size}" if score.size else "original size"
    unit = "annotations" if report.ground_truth.per_annotation else "samples"
    return (
        f"{score.protocol} (version {score.version}), {size}: {score.samples} {unit}, {score.missing} missing; "
        f"in %, ground truth {score.ground_truth[:12]}"
    )


def _matrix(title: str, scores: Sequence[Score]) -> Table:
    """A line for each metric, a column for each threshold rule."""
    rules = list(dict.fromkeys(_rule(score) for score in scores))
    cells = {(score.metric, _rule(score)): _cell(score) for score in scores}
    metrics = dict.fromkeys(score.metric for score in scores)
    rows = tuple((metric, *(cells.get((metric, rule), "") for rule in rules)) for metric in metrics)
    return Table(title, ("threshold", *rules), rows)


def _by_subset(name: str, report: Report, subsets: Sequence[str]) -> Table:
    rows = []
    for subset in subsets:
        scores = [report.score(name, metric, rule, subset) for metric, rule in COLUMNS[name]]
        counts = (str(scores[0].samples), str(scores[0].missing))
        rows.append((subset, *counts, *(percent(score.value) for score in scores)))
    heads = (f"{metric} at {rule}" if rule else metric for metric, rule in COLUMNS[name])
    return Table(f"{name} by subset, in %", ("subset", "samples", "missing", *heads), tuple(rows))


def _rule(score: Score) -> str:
    return SWEPT if score.metric.startswith("AP") else score.threshold


def _cell(score: Score) -> str:
    parts = [percent(score.value)]
    if score.interval is not None:
        parts.append("[{}, {}]".format(*map(percent, score.interval)))
    if score.threshold == "best" and score.at is not None:
        parts.append(f"(at {score.at:g})")
    if score.span not in (None, (0.0, 1.0)):
        parts.append("over recall {} to {}".format(*map(percent, score.span or ())))
    return " ".join(parts)


def percent(value: float | None) -> str:
    """One decimal, or "n/a"."""
    return "n/a" if value is None else f"{100 * value:.1f}"
