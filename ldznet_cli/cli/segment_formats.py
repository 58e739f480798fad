"""From --format to what writes each of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from ldznet_cli.cli.segment_tasks import Asked
from ldznet_cli.errors import UsageError

if TYPE_CHECKING:
    from ldznet_cli.inference import OutputPlan, Task
    from ldznet_cli.inference.formats import CocoResults
    from ldznet_cli.reporting.video import MaskedVideo
    from ldznet_cli.samples.listing import ImageRef

NAMES = ("mask", "overlay", "prob", "cutout", "labelmap", "coco", "yolo", "labelme", "video", "video-cutout")
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


def plan_of(out: Path, asked: Asked, tasks: Sequence[Task], name: str, rle: bool) -> OutputPlan:
    """What is written, and where. Raises UsageError."""
    from ldznet_cli.inference import OutputPlan, labels_of
    from ldznet_cli.inference.formats import Labelme, MaskPng, ProbPng, Yolo
    from ldznet_cli.reporting.cutout import CutoutPng
    from ldznet_cli.reporting.label_map import LabelMapPng
    from ldznet_cli.reporting.overlay import OverlayJpeg

    formats, classes = asked.formats, labels_of(tasks)
    if "labelme" in formats and any(task.image.frame for task in tasks):
        raise UsageError(
            "--format labelme: its files point to an image's file, which frames of a video have not: give a folder of "
            "frames, or another format"
        )
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
        (
            *((_coco(tasks, classes, asked.prompts_from),) if "coco" in formats else ()),
            *_videos(asked, tasks, name),
        ),
        rle,
        name,
    )


def _videos(asked: Asked, tasks: Sequence[Task], name: str) -> Iterator[MaskedVideo]:
    """Videos are called as masks are, with the clip in place of the image."""
    if not any(key.startswith("video") for key in asked.formats):
        return
    from ldznet_cli.inference.clips import clip_of
    from ldznet_cli.inference.outputs import named
    from ldznet_cli.reporting import video
    from ldznet_cli.samples.video import is_video

    rate = asked.rate or video.RATE
    stems: dict[tuple[Path, str], str] = {}
    for task in tasks:
        if task.image.frame is None and is_video(task.image):
            continue  # cannot be read, as its record will say
        for prompt in task.prompts:
            key = (clip_of(task.image), prompt.label)
            stems[key] = stems.get(key) or named(name, _clip_name(task.image), prompt.label)
    if len(set(stems.values())) < len(stems):
        raise UsageError(
            f"--name {name}: two videos would have the same file: put {{image}} and {{label}} into it"
        )
    images = {task.image.name: task.image for task in tasks}
    if "video" in asked.formats:
        places = {key: f"{stem}.mp4" for key, stem in stems.items()}
        yield video.MaskedVideo(places, images, rate=rate)
    if "video-cutout" in asked.formats:
        places = {key: f"{stem}.cutout.mp4" for key, stem in stems.items()}
        yield video.MaskedVideo(places, images, "video-cutout", video.cutout, rate)


def _clip_name(image: ImageRef) -> str:
    """Of a video its own; of a folder its path inside of the source, or the source's own name."""
    folder = PurePosixPath(image.name).parent
    return f"{image.path.parent.resolve().name if folder == PurePosixPath('.') else folder}.mp4"


def _coco(tasks: Sequence[Task], classes: Sequence[str], prompts_from: Path | None) -> CocoResults:
    """Ids are the annotation file's, where there is one, so that results go with it; else they count from 1.

    Its images go by the names that they have as tasks: `./a.png` of the file is called `a.png`.
    """
    from ldznet_cli.inference.formats import CocoResults
    from ldznet_cli.samples.coco_file import image_ref
    from ldznet_cli.samples.templates import clean_phrase

    given: dict[str, Any] = {}
    if prompts_from is not None and prompts_from.suffix.lower() == ".json":
        given = json.loads(prompts_from.read_bytes())
    files = {image_ref(image["file_name"], Path()).name: image["id"] for image in given.get("images", [])}
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
