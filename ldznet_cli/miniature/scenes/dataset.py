"""Scenes on disk: PNG images and one COCO-style file in which each annotation is one phrase with all that it names."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from ldznet_cli.errors import UsageError
from ldznet_cli.miniature.scenes.compose import render
from ldznet_cli.miniature.scenes.objects import OBJECTS
from ldznet_cli.miniature.scenes.scene import (
    RENDERER_VERSION,
    SIZE,
    STYLES,
    Scene,
    generator,
    scene_seed,
)
from ldznet_cli.miniature.scenes.stuff import BACKDROPS, GROUNDS
from ldznet_cli.miniature.scenes.words import absent_phrases, phrases
from ldznet_cli.samples.atomic import write_atomically
from ldznet_cli.samples.masks import box, encode_rle

ANNOTATIONS = "annotations.json"
IMAGES = "images"
_NAMES = (*OBJECTS, *GROUNDS, *BACKDROPS)


@dataclass(frozen=True)
class WrittenScene:
    """One scene that is on disk: `image` is its entry in the annotation file, `annotations` those of its phrases."""

    file_name: str
    image: dict[str, Any]
    annotations: tuple[dict[str, Any], ...]


def write_dataset(
    out: Path, style: str, count: int, seed: int, *, absent: int = 0, workers: int = 1
) -> Generator[WrittenScene, None, None]:
    """Renders scenes 0 .. count - 1 of the set `seed` into `out`/images, then writes `out`/annotations.json.

    A generator: one record for each image as it is written, in order; the annotation file comes last, so that where
    it exists the set is whole. The files do not depend on `workers`. `absent` is how many phrases that name nothing
    in the scene are annotated with it, by an empty segmentation.
    Raises UsageError for an unknown style, a count or number of workers below 1 or a negative seed; LdznetError for a
    folder that cannot be written to, DiskFull.
    """
    if style not in STYLES:
        raise UsageError(f"unknown style {style!r}: expected one of {', '.join(STYLES)}")
    if count < 1 or workers < 1 or absent < 0:
        raise UsageError(f"count and workers are at least 1, absent 0: found {count}, {workers}, {absent}")
    scene_seed(seed, count - 1)
    return _written(Path(out), style, count, seed, absent, workers)


def _written(
    out: Path, style: str, count: int, seed: int, absent: int, workers: int
) -> Generator[WrittenScene, None, None]:
    one = partial(write_scene, out / IMAGES, style, seed, absent=absent)
    done: list[WrittenScene] = []
    for record in map(one, range(count)) if workers == 1 else _in_processes(one, count, workers):
        done.append(record)
        yield record
    info = {"description": "scenes of ldznet's miniature world", "renderer_version": RENDERER_VERSION}
    write_json(out / ANNOTATIONS, coco({**info, "style": style, "seed": seed}, done))


def _in_processes(one: partial[WrittenScene], count: int, workers: int) -> Iterator[WrittenScene]:
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield from pool.map(one, range(count), chunksize=max(1, min(32, count // (4 * workers))))
    finally:
        pool.shutdown(cancel_futures=True)


def write_scene(images: Path, style: str, seed: int, index: int, absent: int = 0) -> WrittenScene:
    """Renders scene `index` of the set `seed` and writes its PNG into the folder `images`."""
    scene = render(style, scene_seed(seed, index))
    file_name = f"{style}-{seed}-{index:06d}.png"
    buffer = BytesIO()
    Image.fromarray(scene.image).save(buffer, format="PNG")
    write_atomically(images / file_name, buffer.getvalue())
    image = {"file_name": file_name, "width": SIZE, "height": SIZE, "style": style, "scene_seed": scene.seed}
    return WrittenScene(file_name, image, tuple(_annotations(scene, absent)))


def _annotations(scene: Scene, absent: int) -> Iterator[dict[str, Any]]:
    """One annotation for each phrase, the absent ones last; still without the ids of image and annotation."""
    for phrase in phrases(scene):
        sides = [float(side) for side in box(phrase.mask) or (0, 0, 0, 0)]
        yield _annotation(phrase.text, encode_rle(phrase.mask), int(phrase.mask.sum()), sides)
    texts = absent_phrases(scene)
    for i in generator("absent annotations", scene.style, scene.seed).permutation(len(texts))[:absent]:
        yield _annotation(texts[i], [], 0, [0.0, 0.0, 0.0, 0.0])


def _annotation(phrase: str, segmentation: object, area: int, sides: list[float]) -> dict[str, Any]:
    category = next(i for i, name in enumerate(_NAMES, start=1) if names(phrase, name))
    return {
        "phrase": phrase,
        "category_id": category,
        "segmentation": segmentation,
        "area": area,
        "bbox": sides,
        "iscrowd": 0,
    }


def names(phrase: str, name: str) -> bool:
    """Whether the phrase is this name, with or without a colour before and a side behind it."""
    bare = phrase.split(" on the ")[0]
    return bare == name or (name in OBJECTS and bare.endswith(f" {name}"))


def coco(info: dict[str, Any], scenes: Sequence[WrittenScene]) -> dict[str, Any]:
    """The whole annotation file; images and annotations are numbered from 1 in the order given."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, scene in enumerate(scenes, start=1):
        images.append({"id": image_id, **scene.image})
        for annotation in scene.annotations:
            annotations.append({"id": len(annotations) + 1, "image_id": image_id, **annotation})
    return {"info": info, "images": images, "annotations": annotations, "categories": categories()}


def categories() -> list[dict[str, Any]]:
    """Every name of the world, whether or not a set shows it, so that ids mean the same in all sets."""
    kinds = [("object", name) for name in OBJECTS] + [("stuff", name) for name in (*GROUNDS, *BACKDROPS)]
    return [
        {"id": i, "name": name, "supercategory": kind, "isthing": int(kind == "object")}
        for i, (kind, name) in enumerate(kinds, start=1)
    ]


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes one JSON file atomically: one line for each image, annotation and category."""
    parts = []
    for key, value in content.items():
        rows = value if isinstance(value, list) else None
        text = json.dumps(value) if rows is None else "[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]"
        parts.append(f"{json.dumps(key)}: {text}")
    write_atomically(path, ("{\n" + ",\n".join(parts) + "\n}\n").encode())
