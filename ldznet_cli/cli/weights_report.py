"""What `ldznet weights` says: what an import took and left, and the rows of `show`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldznet_cli.cli import console

if TYPE_CHECKING:
    from ldznet_cli.nets.import_net import ImportedFolder


def say_imported(done: ImportedFolder, checkpoint: Path, out: Path) -> None:
    """What was taken, what was left and why, and whether net and LDM belong together; for people."""
    told = {"ema": "averaged", "raw": "raw", "bare": "a bare state dict's"}[done.weights]
    console.say(
        f"ldznet: {out} holds the {done.info.config.kind} of {checkpoint.name}: {done.tensors} tensors, "
        f"{done.parameters:,} parameters, {told} weights"
    )
    for left in done.ignored:
        console.say(f"ignored: {keys(left.count)}: {left.what} ({left.why})")
    if done.frozen == "same":
        console.say(f"the frozen UNet inside {checkpoint.name} is that of {done.info.ldm_name}")
    if not any(done.info.ldm_digests.values()):
        console.warn(
            f"without --ldm the net takes any LDM of the shape of {done.info.ldm_name}; the authors' masks come with "
            "its raw weights: `ldznet weights import-ldm sd-v1-4-full-ema.ckpt --out sd-v1-4`, then import with --ldm"
        )
    if done.frozen == "another":
        console.warn(
            f"{checkpoint} was trained with another UNet than that of {done.info.ldm_name}, so its masks will differ "
            f"from the authors'; `ldznet weights import-ldm {checkpoint} --out DIR` takes out the one inside"
        )


def imported(done: ImportedFolder, out: Path) -> dict[str, Any]:
    """The same as JSON data."""
    return {
        "folder": str(out),
        "kind": done.info.config.kind,
        "weights": done.weights,
        "tensors": done.tensors,
        "parameters": done.parameters,
        "ignored": [vars(left) for left in done.ignored],
        "frozen_unet": done.frozen,
        "ldm": {"name": done.info.ldm_name, "digests": done.info.ldm_digests},
        "geometry": done.info.geometry,
        "threshold": done.info.threshold,
        "timesteps": list(done.info.timesteps),
    }


def keys(count: int) -> str:
    """ "1 key", "2 keys"."""
    return f"{count} key{'s' * (count != 1)}"


def rows(told: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """One row a value, nested ones by a dotted name; large numbers in groups of three."""
    for name, value in told.items():
        if isinstance(value, dict) and value:
            yield from rows(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            yield f"{prefix}{name}", ", ".join(map(str, value)) or "none"
        else:
            shown = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value
            yield f"{prefix}{name}", "-" if value in (None, {}) else shown
