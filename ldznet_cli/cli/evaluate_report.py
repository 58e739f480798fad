"""What `ldznet evaluate` says of its numbers, writes down of them, and demands of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ldznet_cli.cli import console
from ldznet_cli.errors import LdznetError, SomeItemsFailed, UsageError

if TYPE_CHECKING:
    from ldznet_cli.evaluation import Evaluation, Report, Table

_RARE = ("presence_auroc",)
"""Numbers, in small letters, that only some ground truths can tell."""

PAGE, REPORT = "index.html", "report.json"


@dataclass(frozen=True)
class Asked:
    """Where the report is to go beside the screen."""

    out: Path | None
    page: Path | None
    as_json: bool


def show(run: Evaluation, report: Report, asked: Asked) -> None:
    """The tables, or the report as JSON, on standard output; its files first."""
    from ldznet_cli.evaluation import tables_of

    text = report.to_json()
    _write(text, asked.out)
    if asked.page is not None:
        from ldznet_cli.reporting.evaluation_page import evaluation_page
        from ldznet_cli.samples.atomic import write_text

        _write(text, asked.page / REPORT)
        write_text(asked.page / PAGE, evaluation_page(report, run.shown))
        console.say(f"ldznet: {asked.page / PAGE} is the page to look at")
    _emit(text, tables_of(report), asked.as_json)


def show_comparison(a: tuple[Evaluation, Report], b: tuple[Evaluation, Report], asked: Asked) -> None:
    """The same for two."""
    from ldznet_cli.evaluation import compared, comparison_tables

    comparison = compared(a[1], b[1], (a[0].results, b[0].results))
    text = comparison.to_json()
    _write(text, asked.out)
    _emit(text, comparison_tables(comparison), asked.as_json)


def _write(text: str, path: Path | None) -> None:
    if path is not None:
        from ldznet_cli.samples.atomic import write_text

        write_text(path, text + "\n")


def _emit(text: str, tables: Sequence[Table], as_json: bool) -> None:
    if as_json:
        console.emit(text)
        return
    for table in tables:
        console.emit(table.title)  # by itself: as the table's own it would be folded to the table's width
        console.table("", table.columns, table.rows)


def last_words(report: Report, wanted: Sequence[Gate] = ()) -> None:
    """What a reader of the numbers has to know. Raises what a gate raises that is not reached, else SomeItemsFailed
    where predictions could not be used."""
    counts, truth = report.predictions, report.ground_truth
    for note in report.notes:
        console.say(f"ldznet: {note}")
    if truth.ignored_pixels:
        console.say(f"ldznet: {truth.ignored_pixels} pixels of ignored regions were left out of the count")
    if counts.missing:
        console.warn(f"{counts.missing} of {truth.samples} samples have no prediction and count as empty")
    for reason, count in counts.ignored.items():
        console.warn(f"{count} of {counts.read} predictions were not scored: {reason}")
    if counts.duplicates:
        console.warn(f"{counts.duplicates} predictions came twice: the first was scored")
    for gate in wanted:
        gate.check(report)
    if counts.failed:
        raise SomeItemsFailed(
            f"{counts.failed} of {counts.read} predictions could not be used and count as missing; "
            f"the first: {counts.failures[0]}"
        )


@dataclass(frozen=True)
class Gate:
    """The least that a number of all samples has to be."""

    protocol: str
    metric: str
    threshold: str | None
    least: float

    def check(self, report: Report) -> None:
        """Raises LdznetError where the number is below, or cannot be had; UsageError where there is none such."""
        found = next(
            (
                score
                for score in report.scores
                if (score.protocol, score.subset) == (self.protocol, "all")
                and score.metric.casefold() == self.metric.casefold()
                and self.threshold in (None, score.threshold)
            ),
            None,
        )
        if found is None and self.metric.casefold() in _RARE:
            raise LdznetError(
                f"--fail-under: {self.protocol} {self.metric} cannot be had: no phrase is annotated as absent, or all"
            )
        if found is None:
            there = dict.fromkeys(s.metric for s in report.scores if s.protocol == self.protocol)
            raise UsageError(
                f"--fail-under: {self.protocol} has no {self.metric}"
                f"{f' at {self.threshold}' if self.threshold else ''}: there are {', '.join(there)}"
            )
        if found.value is None or found.value < self.least:
            value = "n/a" if found.value is None else f"{found.value:.4f}"
            raise LdznetError(
                f"{found.protocol} {found.metric} at {found.threshold} is {value}: --fail-under asks for {self.least:g}"
            )


def gates(texts: Sequence[str], protocols: Sequence[str]) -> list[Gate]:
    """[PROTOCOL:]METRIC[:THRESHOLD]=LEAST; without a protocol the first, without a threshold the one its table's first
    column shows. Raises UsageError for anything else."""
    return [_gate(text, protocols) for text in texts]


def _gate(text: str, protocols: Sequence[str]) -> Gate:
    from ldznet_cli.evaluation.table import COLUMNS

    name, _, number = text.rpartition("=")
    parts = name.split(":")
    named = parts[0] in COLUMNS
    protocol, rest = (parts[0], parts[1:]) if named else (protocols[0], parts)
    try:
        least = float(number)
    except ValueError:
        least = -1.0
    if not 1 <= len(rest) <= 2 or not rest[0] or not 0 <= least <= 1:
        raise UsageError(
            f"--fail-under {text!r}: expected a metric and a number from 0 to 1, such as miou=0.5 or "
            "clipseg:miou:0.3=0.5"
        )
    if rest[0].casefold() == "absent_fpr":
        raise UsageError("--fail-under absent_FPR: it is best at 0, so there is no least that it has to be")
    if protocol not in protocols:
        raise UsageError(f"--fail-under {text!r}: {protocol} is not scored: add --protocol {protocol}")
    usual = {metric.casefold(): rule for metric, rule in reversed(COLUMNS.get(protocol, ()))}
    return Gate(protocol, rest[0], rest[1] if len(rest) == 2 else usual.get(rest[0].casefold()), least)
