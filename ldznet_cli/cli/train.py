"""`ldznet train`: a segmentation net from annotated images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ldznet_cli.cli import console, models, options
from ldznet_cli.cli import train_options as asks
from ldznet_cli.cli import train_report as report
from ldznet_cli.cli.interrupt import stop_on_interrupt
from ldznet_cli.config import MINIATURE
from ldznet_cli.errors import UsageError

if TYPE_CHECKING:
    from ldznet_cli.training.run import Plan
    from ldznet_cli.training.trackers import Tracker

HEAD_WIDTHS = {MINIATURE: 16, "paper": 1}
"""Between the U-Net's last convolution and the head's; the miniature's few channels need more (a choice of ours)."""

CROPS = {"paper": 1.0}
"""What --crop is with live features where nothing is said; views in a cache were chosen when it was made."""


def train(
    gt: options.Gt = None,
    images: options.Images = None,
    groups: options.Groups = None,
    val_gt: asks.ValGt = None,
    val_images: asks.ValImages = None,
    cache: options.Cache = None,
    cache_copy: asks.CacheCopy = None,
    net: asks.Net = "ldznet",
    fusion: asks.Fusion = "cross-attention",
    init: asks.Init = "ldm",
    out: asks.Out = None,
    preset: asks.Preset = None,
    steps: asks.Steps = None,
    batch: asks.Batch = None,
    passes: asks.Passes = 1,
    recompute: asks.Recompute = False,
    learning_rate: asks.LearningRate = None,
    schedule: asks.Schedule = None,
    warmup: asks.Warmup = None,
    weight_decay: asks.WeightDecay = None,
    clip: asks.Clip = None,
    ema: asks.Ema = None,
    negatives: asks.Negatives = None,
    crop: options.Crop = None,
    flip: options.Flip = False,
    validate_every: asks.ValidateEvery = None,
    validation_share: asks.ValidationShare = None,
    validation_samples: asks.ValidationSamples = None,
    checkpoint_every: asks.CheckpointEvery = None,
    keep: asks.Keep = None,
    head_width: asks.HeadWidth = None,
    workers: asks.Workers = None,
    ldm: options.Ldm = MINIATURE,
    vae: options.Vae = None,
    geometry: asks.Geometry = None,
    size: options.Size = None,
    seed: options.Seed = 0,
    dtype: asks.Dtype = "float32",
    device: options.Device = "auto",
    track: asks.Tracks = None,
    overwrite: asks.Overwrite = False,
    dry_run: asks.DryRun = False,
    offline: options.Offline = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train a segmentation net on annotated images.

    Features come from --cache where one is given (`ldznet cache-features`), else live from the LDM. The best
    weights by validation, and the threshold that is best for them, are in RUN from the first validation on; the same
    command goes on with a run that was stopped, and ends with the very bits of an uninterrupted one.

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
    from ldznet_cli.cli.material import Ask, gather
    from ldznet_cli.training import preset as named
    from ldznet_cli.training import processes
    from ldznet_cli.training import run as runs
    from ldznet_cli.training.trackers import require, tell

    if not processes.is_main():
        console.set_quiet(True)
    chosen = preset or models.preset_of(ldm)
    config = named(
        chosen,
        steps=steps,
        batch=batch,
        learning_rate=learning_rate,
        schedule=schedule,
        warmup=warmup,
        weight_decay=weight_decay,
        clip=clip,
        ema=ema,
        negatives=negatives,
        validate_every=validate_every,
        validation_share=validation_share,
        validation_samples=validation_samples,
        checkpoint_every=checkpoint_every,
        keep=keep,
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
        val_images=val_images,
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
    if val_images is not None and val_gt is None:
        raise UsageError(
            f"--val-images {val_images}: of which annotations? name them with --val-gt, or leave it out"
        )
    if fusion == "concat" and net != "ldznet":
        raise UsageError(
            f"--fusion concat: --net {net} takes no features in; leave it out, or train --net ldznet"
        )
    gathered = gather(ask, net, fusion, head_width or HEAD_WIDTHS.get(chosen, 1), init, config.negatives)
    plan = runs.plan(out, config, gathered.net, init, gathered.material, overwrite=overwrite)
    if dry_run:
        report.describe(plan, ask.device, as_json)
        return
    require(track or [])
    console.say(report.opening(plan))
    if preset is None:
        console.say(
            f"ldznet: that is --preset {chosen}, which fits {ldm}; --preset, --steps and --batch change it"
        )
    with (
        _only_one(out, overwrite),
        stop_on_interrupt() as stop,
        console.progress(config.steps, "steps") as bar,
        _tracked(plan, track or []) as trackers,
    ):
        for event in runs.run(plan, unet_weights=gathered.unet_weights, device=ask.device, stop=stop):
            report.show(event, bar)
            tell(event, trackers)
    if processes.is_main():
        report.summary(plan, as_json)


@contextmanager
def _only_one(out: Path, overwrite: bool) -> Iterator[None]:
    """The folder is this training's, and empty where it begins anew; the process that talks sees to both."""
    from ldznet_cli.samples.lock import locked
    from ldznet_cli.training import folder, processes

    if not processes.is_main():
        yield
        return
    with locked(out, console.warn):
        if overwrite:
            folder.remove(out)
        yield


def _tracked(plan: Plan, names: Sequence[str]) -> AbstractContextManager[list[Tracker]]:
    """The trackers asked for, in the process that talks."""
    from ldznet_cli.training import checkpoint, processes
    from ldznet_cli.training.trackers import tracked

    return tracked(
        names if processes.is_main() else (), plan.out, plan.settings, checkpoint.steps_done(plan.out)
    )
