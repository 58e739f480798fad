"""`ldznet evaluate`: masks against a ground truth, by protocols that can be quoted."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ldznet_cli.cli import console, options
from ldznet_cli.errors import SomeItemsFailed, UsageError

if TYPE_CHECKING:
    from ldznet_cli.evaluation import Answers, Evaluation, Report
    from ldznet_cli.samples.coco import SampleSet

STDIN = "-"


def evaluate(
    gt: options.Gt = None,
    images: options.Images = None,
    groups: options.Groups = None,
    pred: Annotated[
        str | None,
        typer.Option(
            "--pred",
            metavar="PATH",
            help="The predictions: segment's folder, a folder of masks named after image and phrase, a file of "
            "records, or '-' for records on standard input, which is the default in a pipe.",
        ),
    ] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            "--protocol",
            metavar="NAME",
            help="How to score: clipseg, native, phrasecut or refcoco; may be repeated. By default the first two.",
        ),
    ] = None,
    clipseg_size: Annotated[
        int,
        typer.Option(
            "--clipseg-size",
            min=16,
            max=4096,
            help="The side of clipseg's square: 384 for LD-ZNet, 352 for CLIPSeg.",
        ),
    ] = 384,
    per_annotation: Annotated[
        bool,
        typer.Option(
            "--per-annotation", help="Each annotation is a sample, not the union of a phrase's annotations."
        ),
    ] = False,
    seed: options.Seed = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write the whole report to this file as JSON, too."),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Score masks against a COCO-style ground truth.

    Every number comes with its protocol, size, threshold rule, samples and missing predictions; no protocol's
    number can be compared with another's. A sample without a prediction counts as predicted empty. The exit code
    is 3 when a prediction could not be used: it is counted as missing.

    \b
    Examples:
      ldznet segment ./images --prompts-from gt.json | ldznet evaluate --gt gt.json
      ldznet evaluate --gt gt.json --pred ldznet-out
      ldznet evaluate --gt gt.json --pred masks/ --protocol phrasecut --protocol native
      ldznet evaluate --gt gt.json --pred run.jsonl --json | jq '.scores[] | select(.subset == "all")'
    """
    if gt is None:
        raise UsageError("no ground truth: name it with --gt annotations.json")
    streamed = _streamed(pred)
    from ldznet_cli.evaluation import DEFAULT_PROTOCOLS, Evaluation, open_predictions
    from ldznet_cli.samples.coco import load_coco

    samples = load_coco(gt, images=images, groups=groups, per_annotation=per_annotation)
    answers = open_predictions(_standard_input() if streamed else str(pred), samples, source="standard input")
    protocols = protocol or DEFAULT_PROTOCOLS
    run = Evaluation(samples, answers.source, protocols=protocols, size=clipseg_size, seed=seed)
    report = _run(run, answers, samples, shown=not streamed)
    _show(report, out, as_json)
    _last_words(report)


def _streamed(pred: str | None) -> bool:
    """Whether records come on standard input."""
    if pred is None and (sys.stdin is None or sys.stdin.isatty()):
        raise UsageError("no predictions: pipe `ldznet segment` into this command, or name them with --pred")
    return pred in (None, STDIN)


def _standard_input() -> Iterator[bytes]:
    yield from sys.stdin.buffer


def _run(run: Evaluation, answers: Answers, samples: SampleSet, *, shown: bool) -> Report:
    """In a pipe the program before this one shows how far it is."""
    if not shown:
        for answer in answers:
            run.update(answer)
        return run.report()
    with console.progress(len(samples.samples), "samples") as progress:
        for answer in answers:
            progress.advance(run.update(answer))
    return run.report()


def _show(report: Report, out: Path | None, as_json: bool) -> None:
    from ldznet_cli.evaluation import tables_of

    if out is not None:
        from ldznet_cli.samples.atomic import write_atomically

        write_atomically(out, (report.to_json() + "\n").encode())
    if as_json:
        console.emit(report.to_json())
        return
    for table in tables_of(report):
        console.emit(table.title)  # by itself: as the table's own it would be folded to the table's width
        console.table("", table.columns, table.rows)


def _last_words(report: Report) -> None:
    """What a reader of the numbers has to know. Raises SomeItemsFailed where predictions could not be used."""
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
    if counts.failed:
        raise SomeItemsFailed(
            f"{counts.failed} of {counts.read} predictions could not be used and count as missing; "
            f"the first: {counts.failures[0]}"
        )
