"""`ldznet cache-features`: z, text states and LDM features of a data set to disk, once."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ldznet_cli.cli import cache_report, console, engine_options, feature_options, options, requests
from ldznet_cli.config import MINIATURE
from ldznet_cli.errors import Interrupted

if TYPE_CHECKING:
    from ldznet_cli.features import CacheEvent, Plan, RunDone, Store


def cache_features(
    sources: options.Sources = None,
    gt: options.Gt = None,
    images: options.Images = None,
    groups: options.Groups = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option("--prompt", metavar="PHRASE", help="A phrase put to every image; may be repeated."),
    ] = None,
    negatives: Annotated[
        int,
        typer.Option(
            "--negatives",
            min=0,
            help="For each image of --gt so many phrases that name something absent: for `train --negatives`.",
        ),
    ] = 0,
    views: Annotated[
        int,
        typer.Option(
            "--views",
            min=0,
            help="Beside each image of --gt, for each phrase so many views of it to train on: --crop, --flip.",
        ),
    ] = 0,
    crop: options.Crop = None,
    flip: options.Flip = False,
    ldm: options.Ldm = MINIATURE,
    vae: options.Vae = None,
    cache: Annotated[
        str, typer.Option("--cache", metavar="DIR", help=options.CACHE_HELP)
    ] = feature_options.CACHE_FOLDER,
    blocks: feature_options.Blocks = feature_options.PAPER,
    z_only: Annotated[
        bool, typer.Option("--z-only", help="Only z and text states: all that ZNet and RGBNet need.")
    ] = False,
    draws: feature_options.Draws = 1,
    timesteps: feature_options.Timesteps = "300:500",
    template: feature_options.Template = feature_options.RANDOM,
    seed: options.Seed = 0,
    geometry: options.GeometryKind = "aligned",
    size: options.Size = None,
    storage_dtype: Annotated[
        Literal["float32", "float16", "bfloat16", "int8"],
        typer.Option(
            "--storage-dtype", help="How features lie on disk. z and text states lie as computed, in --dtype."
        ),
    ] = "float16",
    dtype: options.Dtype = "float32",
    batch: Annotated[
        int,
        typer.Option(
            "--batch", min=1, help="Phrases of one image that go through the UNet at once, at most."
        ),
    ] = 8,
    threads: Annotated[
        int | None,
        typer.Option("--threads", min=1, help="PyTorch's threads on a CPU; by default one for each core."),
    ] = None,
    device: options.Device = "auto",
    offline: options.Offline = False,
    engine: engine_options.Kind = "local",
    address: engine_options.Address = None,
    workers: engine_options.Workers = None,
    gpus_per_worker: engine_options.GpusPerWorker = None,
    threads_per_worker: engine_options.ThreadsPerWorker = None,
    shard: Annotated[
        str,
        typer.Option(
            "--shard",
            metavar="I/N",
            help="Only part I (from 1) of N parts of the images, which are always the same: for a job array.",
        ),
    ] = "1/1",
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Only the images that the last run could not read.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what there is to do and what it will cost; do nothing.")
    ] = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Compute what training needs of the frozen LDM, once, and keep it on disk.

    z for each image, text states for each prompt, features for each phrase of each image and each draw. What is
    there already is not made again; what is interrupted goes on where it stood.

    \b
    Examples:
      ldznet cache-features --gt annotations.json --images ./images
      ldznet cache-features ./images --prompt "lamp" --prompt "red lamp" --cache features
      ldznet cache-features --gt train.json --ldm CompVis/stable-diffusion-v1-4 --device cuda --draws 4
      ldznet cache-features --gt train.json --z-only
      ldznet cache-features --gt train.json --views 4 --crop 0.7 --flip
      ldznet cache-features --gt train.json --dry-run --json
      ldznet cache-features --gt train.json --cache /shared/features --engine ray --address auto
      ldznet cache-features --gt train.json --cache /shared/features --shard "$SLURM_ARRAY_TASK_ID/64"
    """
    placed = engine_options.engine_of(engine, address, workers, gpus_per_worker, threads, threads_per_worker)
    chosen = () if z_only else feature_options.parse_blocks(blocks)
    policy = feature_options.parse_policy(seed, timesteps, template)
    from ldznet_cli import features
    from ldznet_cli.features import FeatureSettings, Shard, Store, plan_cache

    part = Shard.parse(shard)
    asked = requests.asked(
        sources or [],
        prompt or [],
        gt,
        images,
        groups,
        negatives=negatives,
        seed=seed,
        phrases_needed=not z_only,
        views=(seen := feature_options.parse_views(views, crop, flip, seed)),
        shard=part,
    )
    store = Store(cache)
    if retry_failed:
        asked = requests.failed_before(asked, store, part)
    load = None
    if engine == "ray":
        asked, store = requests.everywhere(asked), Store(engine_options.everywhere(cache))
        ldm, vae = engine_options.named_everywhere(ldm), vae and engine_options.named_everywhere(vae)
        load = partial(feature_options.load_ldm, ldm, chosen, vae, device, dtype, offline)
        device, threads = "cpu", threads_per_worker or 1  # here nothing is computed
    model = feature_options.load_ldm(ldm, chosen, vae, device, dtype, offline)
    feature_options.require_timesteps(model, policy)
    grid = feature_options.geometry_for(model, geometry, size)
    settings = FeatureSettings.of(model, grid, policy, storage=storage_dtype)
    plan = plan_cache(asked, settings, model, store, draws=draws, shard=part, views=seen)
    if dry_run:
        cache_report.show(plan, as_json)
        return
    cache_report.begin(plan)
    run = features.cache_features(plan, model, store, batch=batch, threads=threads, engine=placed, load=load)
    cache_report.end(plan, _watched(run, plan, store), store, as_json)


def _watched(run: Generator[CacheEvent, None, None], plan: Plan, store: Store) -> RunDone:
    from ldznet_cli.features import RunDone

    with console.progress(plan.missing, "objects") as shown, closing(run) as events:
        watch = cache_report.Watch(plan, shown)
        try:
            for event in events:
                if isinstance(event, RunDone):
                    return event
                watch.see(event)
        except KeyboardInterrupt:
            kept = f"{watch.done} objects and more are in {store.place.shown()}, all of them whole"
            raise Interrupted(f"interrupted; {kept}: the same command makes the rest") from None
    raise AssertionError("the run ended without saying so")
