"""`ldznet train`: a segmentation net from annotated images."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ldznet_cli.cli import console, models, options
from ldznet_cli.cli.interrupt import stop_on_interrupt
from ldznet_cli.config import MINIATURE
from ldznet_cli.errors import UsageError

if TYPE_CHECKING:
    from ldznet_cli.training.loop import TrainEvent
    from ldznet_cli.training.run import Plan
    from ldznet_cli.training.trackers import Tracker

HEAD_WIDTHS = {MINIATURE: 16, "paper": 1}
"""Between the U-Net's last convolution and the head's; the miniature's few channels need more (a choice of ours)."""

CROPS = {"paper": 1.0}
"""What --crop is with live features where nothing is said; views in a cache were chosen when it was made."""

Net = Annotated[
    Literal["rgbnet", "znet", "ldznet"],
    typer.Option(
        "--net", help="From pixels (rgbnet), from z (znet), from z and the LDM's features (ldznet)."
    ),
]


class Track(StrEnum):
    """Where else a run's course may go."""

    TENSORBOARD = "tensorboard"
    WANDB = "wandb"


Out = Annotated[
    Path | None, typer.Option("--out", metavar="RUN", help="The run folder; `segment --model` takes it.")
]
ValGt = Annotated[
    Path | None,
    typer.Option(
        "--val-gt", metavar="JSON", help="Annotations to validate on; else a share of --gt's images."
    ),
]


def train(
    gt: options.Gt = None,
    images: options.Images = None,
    groups: options.Groups = None,
    val_gt: ValGt = None,
    cache: options.Cache = None,
    cache_copy: Annotated[
        Path | None,
        typer.Option(
            "--cache-copy",
            metavar="DIR",
            help="Where what is read of a --cache behind a URL is kept; by default in the user's cache.",
        ),
    ] = None,
    net: Net = "ldznet",
    fusion: Annotated[
        Literal["cross-attention", "concat"],
        typer.Option("--fusion", help="How ldznet takes the features in."),
    ] = "cross-attention",
    init: Annotated[
        Literal["ldm", "random"], typer.Option("--init", help="Start from the LDM's own U-Net, or at random.")
    ] = "ldm",
    out: Out = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset", help="'paper' or 'miniature'; by default what fits the size of --ldm's UNet."
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Optimiser steps.")] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", min=1, help="Samples a step, over all devices.")
    ] = None,
    passes: Annotated[
        int,
        typer.Option(
            "--passes", min=1, help="Parts that a device takes its samples in (accumulates gradients)."
        ),
    ] = 1,
    recompute: Annotated[
        bool,
        typer.Option("--recompute", help="Keep no activations, compute them again: slower, less memory."),
    ] = False,
    learning_rate: Annotated[float | None, typer.Option("--learning-rate", "--lr", help="AdamW's.")] = None,
    negatives: Annotated[
        float | None, typer.Option("--negatives", help="Share of phrases that name something absent.")
    ] = None,
    crop: options.Crop = None,
    flip: options.Flip = False,
    validate_every: Annotated[int | None, typer.Option("--validate-every", min=1, help="In steps.")] = None,
    validation_share: Annotated[
        float | None, typer.Option("--validation-share", help="Of --gt's images, without --val-gt.")
    ] = None,
    head_width: Annotated[
        int | None,
        typer.Option(
            "--head-width", min=1, help="Channels of the head; 1 in the paper, 16 for the miniature."
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes that read batches.")
    ] = None,
    ldm: options.Ldm = MINIATURE,
    vae: options.Vae = None,
    geometry: Annotated[
        Literal["aligned", "square", "official"] | None,
        typer.Option("--geometry", help="As in `cache-features`; by default the cache's, else aligned."),
    ] = None,
    size: options.Size = None,
    seed: options.Seed = 0,
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"],
        typer.Option("--dtype", help="The arithmetic of the training."),
    ] = "float32",
    device: options.Device = "auto",
    track: Annotated[
        list[Track] | None,
        typer.Option("--track", help="Also log to this; repeatable."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin anew where --out holds a run.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be trained, and stop.")] = False,
    offline: options.Offline = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train a segmentation net on annotated images.

    Features come from --cache where one is given (`ldznet cache-features`), else live from the LDM. The best
    weights by validation, and the threshold that is best for them, are in RUN at any time; the same command goes on
    with a run that was stopped, and ends with the very bits of an uninterrupted one.

    \b
    Examples:
      ldznet train --gt photos.json --cache ldznet-cache --net znet --out runs/znet
      ldznet train --gt train.json --val-gt val.json --cache ldznet-cache --net ldznet --out runs/ldznet
      ldznet train --gt train.json --net rgbnet --init random --steps 1000 --out runs/rgbnet
      ldznet train --gt train.json --out runs/ldznet --dry-run
      accelerate launch -m ldznet_cli train --gt train.json --cache ldznet-cache --out runs/ldznet
    """
    if gt is None or out is None:
        raise UsageError(f"--{'gt' if gt is None else 'out'} is missing (try 'ldznet train --help')")
    console.quiet_libraries()
    from ldznet_cli.cli.material import Ask, gather
    from ldznet_cli.training import preset as named
    from ldznet_cli.training import processes
    from ldznet_cli.training import run as runs
    from ldznet_cli.training.trackers import tell

    if not processes.is_main():
        console.set_quiet(True)
    chosen = preset or models.preset_of(ldm)
    config = named(
        chosen,
        steps=steps,
        batch=batch,
        learning_rate=learning_rate,
        negatives=negatives,
        validate_every=validate_every,
        validation_share=validation_share,
        workers=workers,
        passes=passes,
        recompute=recompute,
        precision=dtype,
        seed=seed,
    )
    ask = Ask(
        gt=gt,
        images=images,
        groups=groups,
        val_gt=val_gt,
        cache=cache,
        cache_copy=cache_copy,
        ldm=models.resolve_ldm(ldm),
        ldm_name=ldm,
        vae=vae,
        geometry=geometry,
        size=size,
        device=models.resolve_device(device),
        offline=offline,
        seed=seed,
        crop=CROPS.get(chosen) if crop is None and cache is None else crop,
        flip=flip,
    )
    if cache is None and config.workers and ask.device != "cpu":
        raise UsageError(
            "--workers: processes that read batches cannot share a GPU; leave it at 0, or use --cache"
        )
    gathered = gather(ask, net, fusion, head_width or HEAD_WIDTHS.get(chosen, 1), init, config.negatives)
    if overwrite:
        runs.remove(out)
    plan = runs.plan(out, config, gathered.net, init, gathered.material)
    if dry_run:
        _describe(plan, ask.device, as_json)
        return
    console.say(_opening(plan))
    if preset is None:
        console.say(
            f"ldznet: that is --preset {chosen}, which fits {ldm}; --preset, --steps and --batch change it"
        )
    with (
        stop_on_interrupt() as stop,
        console.progress(config.steps, "steps") as bar,
        _tracked(plan, track or []) as trackers,
    ):
        for event in runs.run(plan, unet_weights=gathered.unet_weights, device=ask.device, stop=stop):
            _show(event, bar)
            tell(event, trackers)
    if processes.is_main():
        _summary(plan, as_json)


def _tracked(plan: Plan, names: Sequence[str]) -> AbstractContextManager[list[Tracker]]:
    """The trackers asked for, in the process that talks."""
    from ldznet_cli.training import processes
    from ldznet_cli.training import run as runs
    from ldznet_cli.training.trackers import tracked

    done = (runs.read_record(plan.out) or {"step": 0})["step"]
    return tracked(names if processes.is_main() else (), plan.out, plan.settings, done)


def _opening(plan: Plan) -> str:
    config = plan.config
    samples = f"{len(plan.training)} samples, {len(plan.validation)} for validation"
    return f"ldznet: {plan.net.kind}, {samples}; {config.steps} steps of {config.batch}, seed {config.seed}"


def _show(event: TrainEvent, bar: console.Progress) -> None:
    if event.kind == "step":
        if not bar.done:
            bar.begin_at(event.step - 1)
        bar.reach(event.step)
        bar.note(loss=f"{event.loss:.4f}", lr=f"{event.learning_rate:.1e}")
    elif event.validation is not None:
        bar.note(mIoU=f"{100 * event.validation.miou:.1f}")
        best = ", the best so far" if event.best else ""
        console.say(
            f"step {event.step}: validation mIoU {100 * event.validation.miou:.1f} "
            f"at threshold {event.validation.threshold:.2f}{best}"
        )


def _describe(plan: Plan, device: str, as_json: bool) -> None:
    import json

    from ldznet_cli.training.cost import cost_of

    cost = cost_of(plan, device)
    if as_json:
        console.emit(json.dumps({"settings": plan.settings, **cost}, sort_keys=True))
        return
    console.say(_opening(plan))
    console.table("What it takes", ("", "value"), list(cost.items()))


def _summary(plan: Plan, as_json: bool) -> None:
    import json

    from ldznet_cli.training import run as runs

    record = runs.read_record(plan.out) or {}
    best = max(record["validations"], key=lambda validation: validation["miou"])
    if as_json:
        console.emit(
            json.dumps({"run": str(plan.out), "steps": record["step"], "best": best}, sort_keys=True)
        )
        return
    console.say(
        f"ldznet: {plan.out} holds the weights of step {best['step']}: mIoU {100 * best['miou']:.1f} at threshold "
        f"{best['threshold']:.2f} on {best['samples']} validation samples"
    )
