"""The options of `ldznet segment` alone: what is asked, what is written, how a mask is finished, how a run goes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ldznet_cli.config import OUT_FOLDER

Sources = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="IMAGES",
        help="Image and video files, folders of images, quoted globs; '-' reads their list from standard input.",
        show_default=False,
    ),
]
NoRecursive = Annotated[
    bool, typer.Option("--no-recursive", help="Leave the folders inside of IMAGES' folders alone.")
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude", metavar="GLOB", help="Leave out images with such a name or folder; may be repeated."
    ),
]
Null = Annotated[
    bool, typer.Option("--null", "-0", help="The list on standard input is NUL-separated (find -print0).")
]
Prompts = Annotated[
    list[str] | None,
    typer.Option(
        "--prompt",
        metavar="PHRASE",
        help='What to look for; may be repeated. "lamp=light" looks for a lamp and calls its mask "light"; '
        '"lamp|light fixture" takes the better of the two everywhere.',
    ),
]
PromptsFile = Annotated[
    Path | None,
    typer.Option("--prompts", metavar="FILE", help="More of them, one a line; # begins a comment."),
]
Negative = Annotated[
    list[str] | None,
    typer.Option(
        "--negative",
        metavar="PHRASE",
        help="What is not meant; may be repeated. Where it is more probable than the prompt there is no mask.",
    ),
]
PromptsFrom = Annotated[
    Path | None,
    typer.Option(
        "--prompts-from",
        metavar="FILE",
        help="Each image's own phrases: COCO-style annotations (.json), or rows with image and prompt (.jsonl, .csv, "
        ".tsv; '-' is JSON lines on standard input).",
    ),
]
PromptImages = Annotated[
    Path | None,
    typer.Option(
        "--images",
        metavar="DIR",
        help="The folder of --prompts-from's images; by default 'images' beside annotations, else its own.",
    ),
]
PromptGroups = Annotated[
    Path | None,
    typer.Option(
        "--groups",
        metavar="JSON",
        help="Names that join several categories of --prompts-from into one phrase.",
    ),
]
Every = Annotated[
    int,
    typer.Option(
        "--every", metavar="N", min=1, help="Take every N-th frame of a video, or of a folder of frames."
    ),
]
Fps = Annotated[
    float | None,
    typer.Option(
        "--fps",
        metavar="RATE",
        min=0.001,
        max=1000,
        help="Take so many frames a second of a video; show so many of a folder's in --format video.",
        show_default=False,
    ),
]
Smooth = Annotated[
    int,
    typer.Option(
        "--smooth",
        metavar="N",
        min=1,
        max=999,
        help="Average the probabilities over N frames (an odd number), the one at hand in their middle.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help=f"The folder for masks; by default {OUT_FOLDER}."),
]
Formats = Annotated[
    list[str] | None,
    typer.Option(
        "--format",
        metavar="LIST",
        help="What is written: any of mask,overlay,prob,cutout,labelmap,coco,yolo,labelme,video,video-cutout; by "
        "default mask,overlay,prob.",
    ),
]
Name = Annotated[
    str,
    typer.Option(
        "--name",
        metavar="TEMPLATE",
        help="A mask's path below OUT: {image} is the image's path without suffix, {folder} and {stem} its halves, "
        "{label} the mask's label.",
    ),
]
NoOverlay = Annotated[bool, typer.Option("--no-overlay", help="Leave out the pictures for the eye.")]
Rle = Annotated[
    bool, typer.Option("--rle", help="Put each mask into its record, too, in COCO's run-length encoding.")
]
Threshold = Annotated[
    float | None,
    typer.Option(
        "--threshold",
        min=0.0,
        max=1.0,
        help="The mask is where the probability is greater; by default what the net's validation chose, 0.3 for "
        "CLIPSeg.",
    ),
]
MinScore = Annotated[
    float | None,
    typer.Option(
        "--min-score",
        min=0.0,
        max=1.0,
        help="Below this score the phrase is not there: the mask is empty, and its record says so.",
    ),
]
FillHoles = Annotated[bool, typer.Option("--fill-holes", help="Fill what a mask encloses.")]
MinArea = Annotated[
    int, typer.Option("--min-area", metavar="PIXELS", min=0, help="Drop connected parts that are smaller.")
]
Pad = Annotated[
    int, typer.Option("--pad", metavar="PIXELS", min=0, max=10_000, help="Grow the masks on every side.")
]
Invert = Annotated[bool, typer.Option("--invert", help="The mask is everything else.")]
Feather = Annotated[
    int,
    typer.Option(
        "--feather", metavar="PIXELS", min=0, max=10_000, help="Let the edge fade, so far to either side."
    ),
]
Draws = Annotated[
    int | None,
    typer.Option(
        "--draws",
        min=1,
        help="Noise draws that are averaged: LD-ZNet's logits (by default 1), noise-difference's maps (4).",
        show_default=False,
    ),
]
Template = Annotated[
    str,
    typer.Option(
        "--template",
        help="The prompt around a phrase, for our nets; {} is the phrase. 'ensemble' averages the logits over the "
        "paper's nine.",
    ),
]
Batch = Annotated[
    int | None,
    typer.Option(
        "--batch",
        min=1,
        help="Phrases of one image that go through at once; 1 on a CPU, 8 elsewhere. Halved when memory runs out.",
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Make anew what is there with the same settings.")
]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Only the images that the last run in OUT could not do.")
]
MaxErrors = Annotated[
    int | None,
    typer.Option("--max-errors", metavar="N", min=1, help="Stop when so many images have failed."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only say what would be written where; no model is loaded.")
]
Jsonl = Annotated[
    bool,
    typer.Option("--jsonl", help="Print the records on standard output, as in a pipe, on a terminal too."),
]
