"""`ldznet cache-features`: z, text states and LDM features of a data set to disk, once."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ldznet_cli.cli import console, feature_options, options, requests
from ldznet_cli.config import MINIATURE
from ldznet_cli.errors import Interrupted, SomeItemsFailed

if TYPE_CHECKING:
    from ldznet_cli.features import Plan, RunDone, Store
    from ldznet_cli.ldm import FrozenLDM


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
    ldm: options.Ldm = MINIATURE,
    vae: options.Vae = None,
    cache: Annotated[
        Path, typer.Option("--cache", metavar="DIR", help="The folder of cached features.")
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
        int, typer.Option("--batch", min=1, help="Phrases of one image that go through the UNet at once.")
    ] = 8,
    threads: Annotated[
        int | None,
        typer.Option("--threads", min=1, help="PyTorch's threads on a CPU; by default one for each core."),
    ] = None,
    device: options.Device = "auto",
    offline: options.Offline = False,
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
      ldznet cache-features --gt train.json --dry-run --json
    """
    chosen = feature_options.parse_blocks(blocks)
    policy = feature_options.parse_policy(seed, timesteps, template)
    asked = requests.asked(
        sources or [],
        prompt or [],
        gt,
        images,
        groups,
        negatives=negatives,
        seed=seed,
        phrases_needed=not z_only,
    )
    from ldznet_cli.features import FeatureSettings, Store, plan_cache

    model = feature_options.load_ldm(ldm, () if z_only else chosen, vae, device, dtype, offline)
    feature_options.require_timesteps(model, policy)
    grid = feature_options.geometry_for(model, geometry, size)
    settings, store = FeatureSettings.of(model, grid, policy, storage=storage_dtype), Store(cache)
    plan = plan_cache(asked, settings, model, store, draws=draws)
    if dry_run:
        _show(plan, as_json)
        return
    _report(plan, _run(plan, model, store, batch, threads), store, as_json)


def _run(plan: Plan, ldm: FrozenLDM, store: Store, batch: int, threads: int | None) -> RunDone:
    from ldznet_cli.features import RunDone, TextDone, UnitDone, UnitFailed
    from ldznet_cli.features import cache_features as run

    if plan.missing:
        console.say(f"ldznet: {_cost(plan)}")
    for failure in plan.failures:
        console.warn(failure.error)
    written = 0
    try:
        with (
            console.progress(plan.missing, "objects") as shown,
            closing(run(plan, ldm, store, batch=batch, threads=threads)) as events,
        ):
            for event in events:
                if isinstance(event, RunDone):
                    return event
                if isinstance(event, UnitFailed):
                    console.warn(event.failure.error)
                made = event.objects if isinstance(event, UnitDone) else int(isinstance(event, TextDone))
                written += made
                shown.advance(made)
    except KeyboardInterrupt:
        kept = f"{written} objects and more are in {store.root}, all of them whole"
        raise Interrupted(f"interrupted; {kept}: the same command makes the rest") from None
    raise AssertionError("the run ended without saying so")


def _cost(plan: Plan) -> str:
    kinds = ", ".join(f"{count.missing} {kind}" for kind, count in plan.counts.items() if count.needed)
    present = sum(count.present for count in plan.counts.values())
    return (
        f"{plan.missing} objects to make ({kinds}), {present} already there; "
        f"{_size(plan.bytes_to_write)} to write, {_size(plan.free_bytes)} free"
    )


def _show(plan: Plan, as_json: bool) -> None:
    """What --dry-run prints. Raises DiskFull when the disk is too small: the exit code says so too."""
    if as_json:
        console.emit(json.dumps(plan.to_json()))
    else:
        rows = [
            (kind, c.needed, c.present, c.missing, _size(c.bytes_to_write)) for kind, c in plan.counts.items()
        ]
        title = f"{len(plan.items)} images, {len(plan.failures)} unreadable; {_size(plan.free_bytes)} free on the disk"
        console.table(title, ("objects", "needed", "there", "to make", "to write"), rows)
    plan.require_room()


def _report(plan: Plan, done: RunDone, store: Store, as_json: bool) -> None:
    """The last words. Raises SomeItemsFailed."""
    if as_json:
        console.emit(json.dumps({**plan.to_json(), **_summary(done, store)}))
    if done.objects == 0 and not done.failures:
        there = sum(count.needed for count in plan.counts.values())
        console.say(f"ldznet: nothing to do: all {there} objects are in {store.root} already")
    else:
        console.say(
            f"ldznet: wrote {done.objects} objects ({_size(done.bytes)}) to {store.root} in {done.seconds:.0f} s"
        )
    if done.failures:
        from ldznet_cli.features.events import FAILED

        total = len(plan.items) + len(plan.failures)
        raise SomeItemsFailed(
            f"{len(done.failures)} of {total} images could not be read: see {store.root / FAILED}; the others are done"
        )


def _summary(done: RunDone, store: Store) -> dict[str, Any]:
    return {
        "cache": str(store.root),
        "manifest": str(done.manifest) if done.manifest else None,
        "objects_written": done.objects,
        "bytes_written": done.bytes,
        "seconds": round(done.seconds, 3),
        "waited": round(done.waited, 3),
        "failed": [{"image": str(failure.image.path), "error": failure.error} for failure in done.failures],
    }


def _size(count: int) -> str:
    """Bytes for people, decimal."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count / 1e3:.1f} kB"
