"""`ldznet segment --dry-run`: what would be written, and where."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ldznet_cli.cli import console

if TYPE_CHECKING:
    from ldznet_cli.inference import OutputPlan, Task


def show_plan(tasks: Sequence[Task], plan: OutputPlan, *, as_json: bool) -> None:
    """A line of JSON for each mask, or the summary alone, with the run's own files; in words on standard error."""
    masks = there = 0
    for row, all_there in _rows(tasks, plan):
        masks, there = masks + 1, there + all_there
        if not as_json:
            console.emit(json.dumps(row, sort_keys=True))
    if as_json:
        summary = {
            "out": str(plan.out),
            "images": len(tasks),
            "masks": masks,
            "files_there": there,
            "formats": list(plan.formats),
            "files": [str(plan.out / name) for name in plan.own],
        }
        console.emit(json.dumps(summary, sort_keys=True))
    console.say(
        f"ldznet: {masks} masks of {len(tasks)} images would go to {plan.out}; the files of {there} are there "
        "already (what comes from other settings is made anew)"
    )


def _rows(tasks: Sequence[Task], plan: OutputPlan) -> Iterator[tuple[dict[str, object], bool]]:
    for task in tasks:
        whole = plan.image_paths(task.image.name)
        for prompt in task.prompts:
            paths = plan.paths(task.image.name, prompt)
            files = {name: str(path) for name, path in {**paths.files, **whole.files}.items()}
            row = {"image": str(task.image.path), "phrase": prompt.phrase, "label": prompt.label}
            yield row | {"files": files}, bool(files) and paths.whole() and whole.whole()
