"""`ldznet cache …`: what lies in a cache of features, whether it is sound, and what can go."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ldznet_cli.cli import cache_findings, cache_repair, console, feature_options, options
from ldznet_cli.config import MINIATURE
from ldznet_cli.errors import CacheError, UsageError

if TYPE_CHECKING:
    from ldznet_cli.features.census import Census
    from ldznet_cli.features.verify import Checked

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

Cache = Annotated[str, typer.Argument(metavar="CACHE", help=options.CACHE_HELP)]

app = console.group("cache", "What lies in a cache of features, whether it is sound, and what can go.")


@app.command()
def info(
    cache: Cache = feature_options.CACHE_FOLDER, as_json: options.Json = False, quiet: options.Quiet = False
) -> None:
    """Count the objects of a cache by kind, and list the runs that made them with their settings.

    \b
    Examples:
      ldznet cache info
      ldznet cache info features --json
      ldznet cache info s3://bucket/features
    """
    from ldznet_cli.features import Store
    from ldznet_cli.features.census import describe

    found = describe(Store(cache))
    if as_json:
        console.emit(json.dumps(found))
        return
    cache_findings.show_objects(found)
    for run in found["runs"]:
        cache_findings.show_run(run)
    for error in found["unreadable_manifests"]:
        console.warn(error)


@app.command()
def verify(
    cache: Cache = feature_options.CACHE_FOLDER,
    repair: Annotated[
        bool, typer.Option("--repair", help="Make what is damaged or missing anew, from --ldm and --images.")
    ] = False,
    ldm: options.Ldm = MINIATURE,
    vae: options.Vae = None,
    images: Annotated[
        list[Path] | None,
        typer.Option(
            "--images", metavar="DIR", help="Where the cache's images are, for --repair; may be repeated."
        ),
    ] = None,
    device: options.Device = "auto",
    offline: options.Offline = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Read every object of a cache, and list what is damaged or missing.

    Checked are each object's checksum, that it is what its name says, its shapes, and that its values are finite; and
    that everything is there which a manifest names. --repair computes it again, to the same bytes on the same kind of
    processor; images are known by their content, wherever they lie. Ends with 1 while anything is wrong.

    \b
    Examples:
      ldznet cache verify features
      ldznet cache verify features --repair --ldm CompVis/stable-diffusion-v1-4 --images ./images
      ldznet cache verify s3://bucket/features --json
    """
    from ldznet_cli.features import Store
    from ldznet_cli.features.census import Census

    store = Store(cache)
    if not store.place.exists():
        raise CacheError(f"the cache {store.place.shown()} is not there")
    census = Census(store)
    faults = _faults(census)
    mended: list[Checked] = []
    if repair and faults:
        model = cache_repair.Model(ldm, vae, device, offline)
        mended = cache_repair.repair(census, faults, model, images or [])
    left = [fault for fault in faults if fault not in mended]
    cache_findings.tell_faults(census, left, mended, as_json)
    cache_findings.require_sound(census, left, repair)


@app.command()
def prune(
    cache: Cache = feature_options.CACHE_FOLDER,
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than", metavar="AGE", help="Runs that ended longer ago, as 30d, 12h, 90m or 2w."
        ),
    ] = None,
    made_with: Annotated[
        str | None,
        typer.Option(
            "--made-with",
            metavar="NAME",
            help="Runs of this LDM: its name in `cache info`, or a part's digest.",
        ),
    ] = None,
    idle: Annotated[
        str,
        typer.Option(
            "--idle", metavar="AGE", help="So long must nothing have been written by an unfinished run."
        ),
    ] = "1h",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; take nothing away.")] = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Take away objects that no manifest names, or the runs that --older-than and --made-with select.

    With a selection (both hold where both are given) the manifests of these runs go, and the objects that no other run
    names. Nothing goes while a run over the cache seems to be under way.

    \b
    Examples:
      ldznet cache prune features --dry-run
      ldznet cache prune features --older-than 30d
      ldznet cache prune features --made-with stable-diffusion-v1-4 --older-than 2w
    """
    selected = _age("--older-than", older_than) if older_than is not None else None
    patience = _age("--idle", idle)
    from ldznet_cli.features import Store
    from ldznet_cli.features.census import Census
    from ldznet_cli.features.prune import Selection, pruning
    from ldznet_cli.features.prune import prune as take_away

    store = Store(cache)
    if not store.place.exists():
        raise CacheError(f"the cache {store.place.shown()} is not there")
    census = Census(store)
    what = pruning(census, Selection(selected, made_with), idle=patience)
    if not dry_run:
        with console.progress(len(what.runs) + len(what.objects), "files") as shown:
            for _ in take_away(census, what):
                shown.advance()
    cache_findings.tell_pruning(store.place.shown(), what, dry_run, as_json)


def _faults(census: Census) -> list[Checked]:
    from ldznet_cli.features.verify import verify as look

    faults = []
    with console.progress(len(census.objects), "objects") as shown:
        for checked in look(census):
            shown.advance()
            if checked.fault is not None:
                faults.append(checked)
    return faults


def _age(option: str, text: str) -> float:
    """Seconds. Raises UsageError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip())
    if not found:
        raise UsageError(f"{option} {text!r}: expected a number and a unit, as in 30d, 12h, 90m or 2w")
    return float(found[1]) * _UNITS[found[2]]
