"""The options of `ldznet train` alone: the net, the run, its recipe."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer


class Track(StrEnum):
    """Where else a run's course may go."""

    TENSORBOARD = "tensorboard"
    WANDB = "wandb"


ValGt = Annotated[
    Path | None,
    typer.Option(
        "--val-gt", metavar="JSON", help="Annotations to validate on; else a share of --gt's images."
    ),
]
ValImages = Annotated[
    Path | None,
    typer.Option(
        "--val-images", metavar="DIR", help="Folder with the images of --val-gt; by default as --images."
    ),
]
CacheCopy = Annotated[
    Path | None,
    typer.Option(
        "--cache-copy",
        metavar="DIR",
        help="Where what is read of a --cache behind a URL is kept; by default in the user's cache.",
    ),
]
Net = Annotated[
    Literal["rgbnet", "znet", "ldznet"],
    typer.Option(
        "--net", help="From pixels (rgbnet), from z (znet), from z and the LDM's features (ldznet)."
    ),
]
Fusion = Annotated[
    Literal["cross-attention", "concat"],
    typer.Option("--fusion", help="How ldznet takes the features in."),
]
Init = Annotated[
    Literal["ldm", "random"], typer.Option("--init", help="Start from the LDM's own U-Net, or at random.")
]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="RUN", help="The run folder; `segment --model` takes it.")
]
Preset = Annotated[
    str | None,
    typer.Option("--preset", help="'paper' or 'miniature'; by default what fits the size of --ldm's UNet."),
]
Steps = Annotated[int | None, typer.Option("--steps", min=1, help="Optimiser steps.")]
Batch = Annotated[int | None, typer.Option("--batch", min=1, help="Samples a step, over all devices.")]
Passes = Annotated[
    int,
    typer.Option("--passes", min=1, help="Parts that a device takes its samples in (accumulates gradients)."),
]
Recompute = Annotated[
    bool,
    typer.Option("--recompute", help="Keep no activations, compute them again: slower, less memory."),
]
LearningRate = Annotated[float | None, typer.Option("--learning-rate", "--lr", help="AdamW's.")]
Schedule = Annotated[
    Literal["constant", "cosine", "plateau"] | None,
    typer.Option(
        "--schedule", help="Of the learning rate after --warmup; plateau: halved while validation stays."
    ),
]
Warmup = Annotated[
    int | None,
    typer.Option("--warmup", min=0, help="Steps in which the learning rate rises; at most a tenth of all."),
]
WeightDecay = Annotated[float | None, typer.Option("--weight-decay", min=0.0, help="AdamW's.")]
Clip = Annotated[
    float | None, typer.Option("--clip", min=0.0, help="Greatest norm of the gradient; 0: whatever it is.")
]
Ema = Annotated[
    float | None,
    typer.Option("--ema", help="Decay of the weights' moving average, which is what is validated and kept."),
]
Negatives = Annotated[
    float | None, typer.Option("--negatives", help="Share of phrases that name something absent.")
]
ValidateEvery = Annotated[int | None, typer.Option("--validate-every", min=1, help="In steps.")]
ValidationShare = Annotated[
    float | None, typer.Option("--validation-share", help="Of --gt's images, without --val-gt.")
]
ValidationSamples = Annotated[
    int | None, typer.Option("--validation-samples", min=1, help="Phrases that are validated on, at most.")
]
CheckpointEvery = Annotated[int | None, typer.Option("--checkpoint-every", min=1, help="In steps.")]
Keep = Annotated[
    int | None, typer.Option("--keep", min=1, help="Checkpoints that are kept: the newest ones.")
]
HeadWidth = Annotated[
    int | None,
    typer.Option("--head-width", min=1, help="Channels of the head; 1 in the paper, 16 for the miniature."),
]
Workers = Annotated[int | None, typer.Option("--workers", min=0, help="Processes that read batches.")]
Geometry = Annotated[
    Literal["aligned", "square", "official"] | None,
    typer.Option("--geometry", help="As in `cache-features`; by default the cache's, else aligned."),
]
Dtype = Annotated[
    Literal["float32", "bfloat16", "float16"],
    typer.Option("--dtype", help="The arithmetic of the training."),
]
Tracks = Annotated[
    list[Track] | None,
    typer.Option("--track", help="Also log to this; repeatable."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Begin anew where --out holds a run.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be trained, and stop.")]
