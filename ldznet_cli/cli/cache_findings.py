"""What `ldznet cache …` says of what it finds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ldznet_cli.cli import console
from ldznet_cli.cli.cache_report import size
from ldznet_cli.errors import CacheError

if TYPE_CHECKING:
    from ldznet_cli.features.census import Census
    from ldznet_cli.features.prune import Pruning
    from ldznet_cli.features.verify import Checked

_UNITS = (("weeks", 604800), ("days", 86400), ("h", 3600), ("min", 60))


def tell_faults(census: Census, left: Sequence[Checked], mended: Sequence[Checked], as_json: bool) -> None:
    """What is wrong, on standard output."""
    if as_json:
        found = {
            "cache": census.store.place.shown(),
            "objects": len(census.objects),
            "faults": [fault.to_json() for fault in left],
            "mended": [fault.to_json() for fault in mended],
            "unreadable_manifests": census.broken,
        }
        console.emit(json.dumps(found))
        return
    for fault in left:
        console.emit(f"{fault.path}: {fault.state} ({fault.kind}): {fault.fault}")
    for error in census.broken:
        console.emit(error)


def require_sound(census: Census, left: Sequence[Checked], repaired: bool) -> None:
    """The last words. Raises CacheError while anything is wrong."""
    place = census.store.place.shown()
    if not left and not census.broken:
        console.say(f"ldznet: all {len(census.objects)} objects of {place} are sound")
        return
    wrong = [f"{len(left)} objects are damaged or missing"] if left else []
    if census.broken:
        wrong.append(f"{len(census.broken)} manifests cannot be read")
    advice = f"; `ldznet cache verify {place} --repair --ldm … --images …` makes them anew" if left else ""
    raise CacheError(f"{' and '.join(wrong)} in {place}{'' if repaired else advice}")


def tell_pruning(place: str, what: Pruning, dry_run: bool, as_json: bool) -> None:
    """What is gone, or would be."""
    manifests = [run.manifest.name for run in what.runs]
    if as_json:
        found = {"cache": place, "manifests": manifests, "objects": len(what.objects), "bytes": what.bytes}
        console.emit(json.dumps({**found, "dry_run": dry_run}))
        return
    if not manifests and not what.objects:
        console.say(f"ldznet: nothing to prune in {place}")
        return
    for manifest in manifests:
        console.emit(f"manifest {manifest}")
    verb = "would take away" if dry_run else "took away"
    console.say(
        f"ldznet: {verb} {len(what.objects)} objects ({size(what.bytes)}) and {len(manifests)} manifests of {place}"
    )


def show_run(run: dict[str, Any]) -> None:
    """A finished run, in three lines."""
    made = run["settings"]
    policy, geometry, digests = made["policy"], made["geometry"], made["digests"]
    missing = f", {run['missing']} of them missing" if run["missing"] else ""
    console.emit(
        f"run {run['manifest'][:12]}, {_told(run['age'])} ago: {run['images']} images, {run['phrases']} phrases, "
        f"draws: {run['draws']}; {run['objects']} objects ({size(run['bytes'])}){missing}"
    )
    console.emit(
        f"    LDM {made['ldm']} ({(digests['unet'] or digests['first_stage'])[:12]}), "
        f"blocks {','.join(map(str, made['blocks'])) or 'none'}, geometry {geometry['kind']} {geometry['size']}, "
        f"{made['compute']} stored as {made['storage']}"
    )
    console.emit(
        f"    seed {policy['seed']}, timesteps {':'.join(map(str, policy['timesteps']))}, "
        f"template {policy['template'] or 'random'}"
    )


def show_objects(found: dict[str, Any]) -> None:
    """How many objects of each kind."""
    rows = [(kind, of["count"], size(of["bytes"])) for kind, of in found["objects"].items()]
    loose = found["in_no_manifest"]
    if loose["count"]:
        rows.append(("of these in no manifest", loose["count"], size(loose["bytes"])))
    ages = (
        ""
        if found["oldest"] is None
        else f", written {_told(found['oldest'])} to {_told(found['newest'])} ago"
    )
    console.table(f"{found['cache']}{ages}", ("objects", "count", "size"), rows)


def _told(seconds: float) -> str:
    """An age, in the largest unit that it has two of."""
    unit, length = next((pair for pair in _UNITS if seconds >= 2 * pair[1]), ("s", 1))
    return f"{seconds / length:.0f} {unit}"
