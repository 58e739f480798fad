"""From --format to what writes each of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldznet_cli.errors import UsageError

if TYPE_CHECKING:
    from ldznet_cli.inference import OutputPlan, Task
    from ldznet_cli.inference.formats import CocoResults

NAMES = ("mask", "overlay", "prob", "cutout", "labelmap", "coco", "yolo", "labelme")
DEFAULT = ("mask", "overlay", "prob")


def formats_of(values: Sequence[str], *, no_overlay: bool = False) -> tuple[str, ...]:
    """The formats of `--format a,b --format c`, each once. Raises UsageError for one that is not known."""
    names = [name.strip() for value in values for name in value.split(",") if name.strip()]
    for name in names:
        if name not in NAMES:
            raise UsageError(f"--format {name}: expected any of {','.join(NAMES)}")
    chosen = dict.fromkeys(names or DEFAULT)
    if no_overlay:
        chosen.pop("overlay", None)
    return tuple(chosen)


def plan_of(
    out: Path, formats: Sequence[str], tasks: Sequence[Task], prompts_from: Path | None, name: str, rle: bool
) -> OutputPlan:
    """What is written, and where. Raises UsageError."""
    from ldznet_cli.inference import OutputPlan, labels_of
    from ldznet_cli.inference.formats import Labelme, MaskPng, ProbPng, Yolo
    from ldznet_cli.reporting.cutout import CutoutPng
    from ldznet_cli.reporting.label_map import LabelMapPng
    from ldznet_cli.reporting.overlay import OverlayJpeg

    classes = labels_of(tasks)
    masks: dict[str, Any] = {"prob": ProbPng, "overlay": OverlayJpeg, "cutout": CutoutPng, "mask": MaskPng}
    images: dict[str, Any] = {
        "labelmap": lambda: LabelMapPng(classes),
        "yolo": lambda: Yolo(classes),
        "labelme": Labelme,
    }
    return OutputPlan(
        out,
        tuple(make() for key, make in masks.items() if key in formats),
        tuple(make() for key, make in images.items() if key in formats),
        (_coco(tasks, classes, prompts_from),) if "coco" in formats else (),
        rle,
        name,
    )


def _coco(tasks: Sequence[Task], classes: Sequence[str], prompts_from: Path | None) -> CocoResults:
    """Ids are the annotation file's, where there is one, so that results go with it; else they count from 1."""
    from ldznet_cli.inference.formats import CocoResults
    from ldznet_cli.samples.templates import clean_phrase

    given: dict[str, Any] = {}
    if prompts_from is not None and prompts_from.suffix.lower() == ".json":
        given = json.loads(prompts_from.read_bytes())
    files = {image["file_name"]: image["id"] for image in given.get("images", [])}
    names = {
        clean_phrase(category[field]): category["id"]
        for field in ("name", "prompt")
        for category in given.get("categories") or []
        if category.get(field)
    }
    return CocoResults(_numbered([task.image.name for task in tasks], files), _numbered(classes, names))


def _numbered(names: Sequence[str], given: dict[str, Any]) -> dict[str, Any]:
    """Each name's given number, or the next after all that are given."""
    following = 1 + max((key for key in given.values() if isinstance(key, int)), default=0)
    numbers = dict(given)
    for name in names:
        if name not in numbers:
            numbers[name], following = following, following + 1
    return {name: numbers[name] for name in names}
