"""What `ldznet train` says of a run: what it is to be, its course, its end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ldznet_cli.cli import console

if TYPE_CHECKING:
    from ldznet_cli.training.loop import TrainEvent
    from ldznet_cli.training.run import Plan


def opening(plan: Plan) -> str:
    """The line before the first step."""
    config = plan.config
    samples = f"{len(plan.training)} samples, {len(plan.validation)} for validation"
    return f"ldznet: {plan.net.kind}, {samples}; {config.steps} steps of {config.batch}, seed {config.seed}"


def show(event: TrainEvent, bar: console.Progress) -> None:
    """A step on the bar; a validation on a line of its own."""
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


def describe(plan: Plan, device: str, as_json: bool) -> None:
    """What --dry-run prints: the settings and the cost."""
    from ldznet_cli.training.cost import cost_of

    cost = cost_of(plan, device)
    if as_json:
        console.emit(json.dumps({"settings": plan.settings, **cost}, sort_keys=True))
        return
    console.say(opening(plan))
    console.table("What it takes", ("", "value"), list(cost.items()))


def summary(plan: Plan, as_json: bool) -> None:
    """The last line: what the run folder holds."""
    from ldznet_cli.training.folder import read_record

    record = read_record(plan.out) or {}
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
