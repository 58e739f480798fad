"""`ldznet evaluate`: masks against a ground truth, by protocols that can be quoted."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ldznet_cli.cli import console, options
from ldznet_cli.cli import evaluate_options as asks
from ldznet_cli.cli.evaluate_report import Asked, gates, last_words, show, show_comparison
from ldznet_cli.errors import UsageError

if TYPE_CHECKING:
    from ldznet_cli.evaluation import Evaluation, Report
    from ldznet_cli.samples.coco import SampleSet

STDIN = "-"


def evaluate(
    gt: options.Gt = None,
    images: options.Images = None,
    groups: options.Groups = None,
    pred: asks.Pred = None,
    compare: asks.Compare = None,
    protocol: asks.Protocol = None,
    clipseg_size: asks.ClipsegSize = 384,
    per_annotation: asks.PerAnnotation = False,
    seed: options.Seed = 0,
    workers: asks.Workers = 1,
    tune_threshold: asks.TuneThreshold = False,
    save: asks.Save = None,
    fail_under: asks.FailUnder = None,
    report: asks.ReportFolder = None,
    out: asks.Out = None,
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
      ldznet evaluate --gt gt.json --pred ldznet-out --report report
      ldznet evaluate --gt gt.json --pred masks/ --protocol phrasecut --protocol native
      ldznet evaluate --gt gt.json --compare before after --workers 4
      ldznet evaluate --gt gt.json --pred results.json --fail-under miou=0.5
      ldznet evaluate --gt val.json --pred ldznet-out --tune-threshold --save run
      ldznet evaluate --gt gt.json --pred run.jsonl --json | jq '.scores[] | select(.subset == "all")'
    """
    if gt is None:
        raise UsageError("no ground truth: name it with --gt annotations.json")
    _check_together(pred, compare, tune_threshold, save is not None, bool(fail_under or report))
    from ldznet_cli.evaluation import DEFAULT_PROTOCOLS, swept_protocol
    from ldznet_cli.samples.coco import load_coco

    protocols = tuple(protocol or DEFAULT_PROTOCOLS)
    wanted = gates(fail_under or (), protocols)
    if tune_threshold:
        swept_protocol(protocols)
    sources = compare or (_source(pred),)
    samples = load_coco(gt, images=images, groups=groups, per_annotation=per_annotation)
    runs = [
        _scored(source, samples, protocols, clipseg_size, seed, workers, tuning=tune_threshold)
        for source in sources
    ]
    asked = Asked(out=out, page=report, as_json=as_json)
    if compare is not None:
        show_comparison(runs[0], runs[1], asked)
    else:
        show(*runs[0], asked)
    if save is not None:
        _tune(*runs[0], save)
    for _, made in runs:
        last_words(made, wanted)


def _check_together(
    pred: str | None, compare: tuple[str, str] | None, tuned: bool, saved: bool, single: bool
) -> None:
    """Raises UsageError for options that say nothing together."""
    if tuned != saved:
        raise UsageError("--tune-threshold and --save RUN go together: the threshold is written into RUN")
    if compare is None:
        return
    if pred is not None or tuned or single:
        raise UsageError("--compare A B goes without --pred, --tune-threshold, --fail-under and --report")
    if compare == (STDIN, STDIN):
        raise UsageError("--compare: standard input can be only one of the two")


def _source(pred: str | None) -> str:
    if pred is None and (sys.stdin is None or sys.stdin.isatty()):
        raise UsageError("no predictions: pipe `ldznet segment` into this command, or name them with --pred")
    return pred or STDIN


def _standard_input() -> Iterator[bytes]:
    yield from sys.stdin.buffer


def _scored(
    source: str,
    samples: SampleSet,
    protocols: tuple[str, ...],
    size: int,
    seed: int,
    workers: int,
    *,
    tuning: bool,
) -> tuple[Evaluation, Report]:
    """In a pipe the program before this one shows how far it is."""
    from ldznet_cli.evaluation import Evaluation, open_predictions

    streamed = source == STDIN
    answers = open_predictions(_standard_input() if streamed else source, samples, source="standard input")
    with Evaluation(
        samples,
        answers.source,
        protocols=protocols,
        size=size,
        seed=seed,
        workers=workers,
        tuning=tuning,
    ) as run:
        if streamed:
            for answer in answers:
                run.update(answer)
        else:
            with console.progress(len(samples.samples), "samples") as progress:
                for answer in answers:
                    progress.advance(run.update(answer))
        return run, run.report()


def _tune(run: Evaluation, made: Report, save: Path) -> None:
    from ldznet_cli.evaluation import tune

    found = tune(made, save, run.intake.digests)
    console.say(
        f"ldznet: {save}: threshold {found.threshold:g} (before: {found.former:g}), the best of "
        f"{found.score.protocol}'s mIoU, on {found.score.samples} samples of {made.ground_truth.path}"
    )
