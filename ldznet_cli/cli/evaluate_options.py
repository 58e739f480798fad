"""The options of `ldznet evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Pred = Annotated[
    str | None,
    typer.Option(
        "--pred",
        metavar="PATH",
        help="The predictions: segment's folder, a folder of masks named after image and phrase, a file of "
        "records (.jsonl) or of COCO results (.json), or '-' for records on standard input, which is the default in "
        "a pipe.",
    ),
]
Compare = Annotated[
    tuple[str, str] | None,
    typer.Option(
        "--compare",
        metavar="A B",
        help="Two sets of predictions, each as --pred takes them: every number of both, and B - A with its paired "
        "interval.",
    ),
]
Protocol = Annotated[
    list[str] | None,
    typer.Option(
        "--protocol",
        metavar="NAME",
        help="How to score: clipseg, native, phrasecut or refcoco; may be repeated. By default the first two.",
    ),
]
ClipsegSize = Annotated[
    int,
    typer.Option(
        "--clipseg-size",
        min=16,
        max=4096,
        help="The side of clipseg's square: 384 for LD-ZNet, 352 for CLIPSeg.",
    ),
]
PerAnnotation = Annotated[
    bool,
    typer.Option(
        "--per-annotation", help="Each annotation is a sample, not the union of a phrase's annotations."
    ),
]
Workers = Annotated[
    int,
    typer.Option(
        "--workers",
        min=1,
        max=256,
        metavar="N",
        help="Score in so many processes; the numbers are the same to the last digit.",
    ),
]
TuneThreshold = Annotated[
    bool,
    typer.Option(
        "--tune-threshold",
        help="Choose the threshold of the best mIoU (native's where it is scored, else clipseg's) on this ground "
        "truth, which should be validation data, and write it into the net of --save.",
    ),
]
Save = Annotated[
    Path | None,
    typer.Option(
        "--save",
        metavar="RUN",
        help="The net's folder that --tune-threshold writes to. What its threshold was tuned on is refused as a test "
        "of it from then on.",
    ),
]
FailUnder = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-under",
        metavar="NAME=LEAST",
        help="Exit with 1 when a number of all samples is below this: 'miou=0.5', or in full "
        "'clipseg:miou:0.3=0.5' (protocol, metric, threshold rule). May be repeated.",
    ),
]
ReportFolder = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="DIR",
        help="Write a page to look at, index.html, and the report as report.json into this folder.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="Write the whole report to this file as JSON, too."),
]
