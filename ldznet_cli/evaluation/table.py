"""A report as tables for people: percentages, every table headed by what its numbers mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ldznet_cli.evaluation.comparison import Comparison, Difference
from ldznet_cli.evaluation.report import Report, Score
from ldznet_cli.evaluation.subsets import ALL, CATEGORY

COLUMNS = {
    "clipseg": (("mIoU", "0.3"), ("mIoU", "0.5"), ("mIoU", "best"), ("IoU_FG", "0.5"), ("AP_exact", None)),
    "native": (("mIoU", "own"), ("mIoU", "0.5"), ("mIoU", "best"), ("IoU_FG", "own"), ("AP", None)),
    "phrasecut": (("mean_IoU", None), ("cumulative_IoU", None), ("acc@0.5", None)),
    "refcoco": (("mIoU", None), ("oIoU", None), ("Pr@0.5", None)),
}
"""What a subset's line shows of each protocol."""

MOST_CATEGORIES = 8
"""A table's, the most frequent ones; the report as JSON has all."""

SWEPT = "all"
"""The column of what has no single threshold: AP."""


@dataclass(frozen=True)
class Table:
    """Cells as text; the first column is the name of its row."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables_of(report: Report, categories: int = MOST_CATEGORIES) -> list[Table]:
    """For each protocol one table of all samples and, where there are subsets, one with a line for each, and one with a
    line for each of the most frequent categories."""
    protocols = dict.fromkeys(score.protocol for score in report.scores)
    return [table for name in protocols for table in _protocol(name, report, categories)]


def _protocol(name: str, report: Report, most: int) -> Iterator[Table]:
    scores = [score for score in report.scores if score.protocol == name]
    everyone = [score for score in scores if score.subset == ALL]
    yield _matrix(_title(everyone[0], report), everyone)
    subsets = list(dict.fromkeys(score.subset for score in scores))
    plain = [subset for subset in subsets if not subset.startswith(CATEGORY)]
    if len(plain) > 1:
        yield _by_subset(name, report, plain, f"{name} by subset, in %")
    categories = [subset for subset in subsets if subset.startswith(CATEGORY)]
    if categories:
        yield _by_category(name, report, categories, most)


def _by_category(name: str, report: Report, categories: Sequence[str], most: int) -> Table:
    metric, rule = COLUMNS[name][0]
    samples = {subset: report.score(name, metric, rule, subset).samples for subset in categories}
    often = sorted(categories, key=lambda subset: -samples[subset])[:most]
    left = len(categories) - len(often)
    more = f"; {left} categories more in --json" if left else ""
    return _by_subset(name, report, often, f"{name} by category, in %{more}", prefix=CATEGORY)


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
    cells = {(_named(score), _rule(score)): _cell(score) for score in scores}
    metrics = dict.fromkeys(map(_named, scores))
    rows = tuple((metric, *(cells.get((metric, rule), "") for rule in rules)) for metric in metrics)
    return Table(title, ("threshold", *rules), rows)


def _by_subset(name: str, report: Report, subsets: Sequence[str], title: str, prefix: str = "") -> Table:
    columns = COLUMNS[name]
    if prefix:
        columns = tuple(column for column in columns if not column[0].startswith("AP"))
    rows = []
    for subset in subsets:
        scores = [report.score(name, metric, rule, subset) for metric, rule in columns]
        counts = (str(scores[0].samples), str(scores[0].missing))
        rows.append((subset.removeprefix(prefix), *counts, *(percent(score.value) for score in scores)))
    heads = (f"{metric} at {rule}" if rule else metric for metric, rule in columns)
    return Table(title, (prefix.rstrip(":") or "subset", "samples", "missing", *heads), tuple(rows))


def comparison_tables(comparison: Comparison) -> list[Table]:
    """For each protocol a line for each number of all samples, and one for the first number of each subset."""
    protocols = dict.fromkeys(difference.a.protocol for difference in comparison.differences)
    return [table for name in protocols for table in _compared(name, comparison)]


def _compared(name: str, comparison: Comparison) -> Iterator[Table]:
    found = [difference for difference in comparison.differences if difference.a.protocol == name]
    columns = ("A", "B", "B - A", "95 % of B - A")
    everyone = [difference for difference in found if difference.a.subset == ALL]
    score = everyone[0].a
    counts = f"{score.missing} missing in A, {everyone[0].b.missing} in B"
    size = f"{score.size}x{score.size}" if score.size else "original size"
    title = (
        f"{name} (version {score.version}), {size}: {score.samples} samples, {counts}; "
        f"in %, ground truth {score.ground_truth[:12]}"
    )
    rows = tuple((f"{_spanned(one)} at {one.a.threshold}", *_difference(one)) for one in everyone)
    yield Table(title, ("number", *columns), rows)
    metric, rule = COLUMNS[name][0]
    parts = [
        one
        for one in found
        if one.a.metric == metric
        and rule in (None, one.a.threshold)
        and one.a.subset != ALL
        and not one.a.subset.startswith(CATEGORY)
    ]
    if parts:
        lines = tuple((one.a.subset, str(one.a.samples), *_difference(one)) for one in parts)
        yield Table(
            f"{name} {metric}{f' at {rule}' if rule else ''} by subset, in %",
            ("subset", "samples", *columns),
            lines,
        )


def _difference(one: Difference) -> tuple[str, str, str, str]:
    value = "n/a" if one.difference is None else f"{100 * one.difference:+.1f}"
    interval = "" if one.interval is None else "[{:+.1f}, {:+.1f}]".format(*(100 * x for x in one.interval))
    return percent(one.a.value), percent(one.b.value), value, interval


def _spanned(one: Difference) -> str:
    """The number's name, with the recall that an AP covers in either."""
    name = _named(one.a)
    if one.a.span == one.b.span:
        return name
    return f"{name} (B: {' to '.join(map(percent, one.b.span or ()))})"


def _named(score: Score) -> str:
    """An AP's name says which part of the recall it covers, if not all."""
    if score.span in (None, (0.0, 1.0)):
        return score.metric
    return "{} over recall {} to {}".format(score.metric, *map(percent, score.span or ()))


def _rule(score: Score) -> str:
    return SWEPT if score.metric.startswith(("AP", "presence")) else score.threshold


def _cell(score: Score) -> str:
    parts = [percent(score.value)]
    if score.interval is not None:
        parts.append("[{}, {}]".format(*map(percent, score.interval)))
    if score.threshold == "best" and score.at is not None:
        parts.append(f"(at {score.at:g})")
    return " ".join(parts)


def percent(value: float | None) -> str:
    """One decimal, or "n/a"."""
    return "n/a" if value is None else f"{100 * value:.1f}"
