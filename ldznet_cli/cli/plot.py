"""`ldznet plot`: how trainings went, as one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ldznet_cli.cli import console, options
from ldznet_cli.config import TRAINING_PICTURE
from ldznet_cli.errors import NothingToDo, UsageError

if TYPE_CHECKING:
    from ldznet_cli.reporting.figures import TrainingCurve

Over = Literal["steps", "samples", "minutes"]


def plot(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Folders that `ldznet train` wrote.")],
    over: Annotated[
        Over,
        typer.Option(
            "--over", help="What runs are laid side by side by; minutes: a step's share of the whole."
        ),
    ] = "steps",
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="PNG", help=f"By default {TRAINING_PICTURE} in the first RUN."),
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Draw loss and validation of one or more trainings, also while they go on, as a PNG.

    \b
    Examples:
      ldznet plot runs/znet
      ldznet plot runs/rgbnet runs/znet runs/ldznet --over minutes --out nets.png
    """
    from ldznet_cli.reporting.figures import training_curves
    from ldznet_cli.samples.atomic import write_atomically

    runs = list(dict.fromkeys(runs))
    curves = {name: _curve(_record(run), over) for name, run in zip(_names(runs), runs, strict=True)}
    path = out or runs[0] / TRAINING_PICTURE
    write_atomically(path, training_curves(curves, x_label=over))
    console.say(f"ldznet: {path}: {', '.join(curves)}")


def _record(run: Path) -> Mapping[str, Any]:
    """What there is to draw. Raises UsageError for another folder, NothingToDo before the first validation."""
    from ldznet_cli.training.folder import read_record

    record = read_record(run)
    if record is None:
        raise UsageError(f"{run}: no training run: expected a folder that `ldznet train` wrote")
    if not record["validations"]:
        first = min(record["settings"]["validate_every"], record["settings"]["steps"])
        raise NothingToDo(f"{run}: nothing was validated yet: draw it after {first} steps")
    return record


def _names(runs: Sequence[Path]) -> list[str]:
    """What tells the runs apart: the folders' names, or all that was given where two of these are the same."""
    names = [run.resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run) for run in runs]


def _curve(record: Mapping[str, Any], over: Over) -> TrainingCurve:
    from ldznet_cli.reporting.figures import TrainingCurve

    scale = {
        "steps": 1.0,
        "samples": float(record["settings"]["batch"]),
        "minutes": record["seconds"] / record["step"] / 60,
    }[over]
    return TrainingCurve(
        [(scale * point["step"], point["loss"]) for point in record["curve"]],
        [(scale * found["step"], found["miou"]) for found in record["validations"]],
    )
