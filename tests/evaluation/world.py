"""A small ground truth with images on disk, and predictions for it in every form that is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ldznet_cli.samples.coco import SampleSet, load_coco
from ldznet_cli.samples.images import sha256_of
from ldznet_cli.samples.masks import write_mask, write_prob
from ldznet_cli.samples.record import Record, RecordGeometry, RecordImage, to_json
from ldznet_cli.samples.sample import Sample

SIZES = {"photo_1.png": (40, 30), "cartoon/2.png": (24, 32), "sketch_3.png": (16, 16)}
"""(width, height)."""


def rectangle(x: int, y: int, width: int, height: int) -> list[list[int]]:
    """A polygon that polygon2mask fills as the pixels x..x+width-1, y..y+height-1."""
    right, below = x + width - 1, y + height - 1
    return [[x, y, right, y, right, below, x, below]]


CATEGORIES = [
    {"id": 1, "name": "lamp", "isthing": 1},
    {"id": 2, "name": "grass", "isthing": 0},
    {"id": 3, "name": "tree", "isthing": 1},
]

ANNOTATIONS: list[dict[str, Any]] = [
    {"image_id": 1, "category_id": 1, "phrase": "red lamp", "segmentation": rectangle(2, 3, 10, 8)},
    {"image_id": 1, "category_id": 2, "segmentation": rectangle(0, 20, 40, 10)},
    {"image_id": 1, "category_id": 3, "segmentation": rectangle(20, 2, 3, 3)},
    {"image_id": 1, "category_id": 3, "segmentation": rectangle(30, 2, 4, 4)},
    {"image_id": 2, "category_id": 2, "segmentation": rectangle(0, 16, 24, 16)},
    {"image_id": 2, "category_id": 1, "phrase": "lamp on the left", "segmentation": rectangle(1, 1, 4, 6)},
    {"image_id": 3, "category_id": 3, "segmentation": rectangle(4, 4, 8, 8)},
    {"image_id": 3, "category_id": 3, "segmentation": rectangle(12, 0, 4, 4), "iscrowd": 1},
    {"image_id": 3, "category_id": 1, "segmentation": []},
]
"""Seven phrases, of which "tree" is there twice in the first image and "lamp" is absent from the third."""

SAMPLES = 7


def write_world(folder: Path) -> Path:
    """Images and `gt.json` in `folder`; gives the latter."""
    random = np.random.default_rng(0)
    for name, (width, height) in SIZES.items():
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
    images = [
        {"id": place, "file_name": name, "width": width, "height": height}
        for place, (name, (width, height)) in enumerate(SIZES.items(), start=1)
    ]
    annotations = [{"id": place, **entry} for place, entry in enumerate(ANNOTATIONS, start=1)]
    gt = folder / "gt.json"
    gt.write_text(json.dumps({"images": images, "annotations": annotations, "categories": CATEGORIES}))
    return gt


def guess(sample: Sample, factor: int = 2) -> np.ndarray:
    """Probabilities on a grid of a `factor`-th of the image: 0.8 about where the mask is, 0.1 elsewhere, some noise."""
    seed = int.from_bytes(sample.id.encode()[-6:], "little")
    mask = sample.mask()[::factor, ::factor]
    noise = np.random.default_rng(seed).random(mask.shape) * 0.1
    return (np.roll(np.where(mask, 0.8, 0.1), 1, axis=1) + noise).astype(np.float32)


def arrays(samples: SampleSet) -> dict[tuple[str, str], np.ndarray]:
    """Every sample's guess as a 16-bit PNG holds it, in memory."""
    return {
        (s.image.name, s.phrase): (np.rint(guess(s).astype(np.float64) * 65535) / 65535).astype(np.float32)
        for s in samples.samples
    }


def record_of(sample: Sample, folder: Path, *, prob: bool = True) -> Record:
    """What `ldznet segment --out folder` would write for the guess, files and all."""
    stem = f"{Path(sample.image.name).with_suffix('')}/{sample.phrase.replace(' ', '-')}"
    grid = guess(sample)
    path = folder / f"{stem}{'.prob.png' if prob else '.png'}"
    if prob:
        write_prob(path, grid)
    else:
        write_mask(path, np.asarray(Image.fromarray(grid).resize((sample.width, sample.height))) > 0.5)
    image = RecordImage(
        str(sample.image.path), sample.image.name, sha256_of(sample.image.path), sample.width, sample.height
    )
    return Record(
        image,
        sample.phrase,
        sample.phrase,
        predictor="net",
        model="miniature",
        geometry=RecordGeometry("aligned", 128, (grid.shape[0], grid.shape[1])),
        threshold=0.5,
        prob=str(path) if prob else None,
        mask=None if prob else str(path),
    )


def records(gt: Path, folder: Path, *, prob: bool = True) -> list[Record]:
    """A record for each sample of `gt`, its files in `folder`."""
    return [record_of(sample, folder, prob=prob) for sample in load_coco(gt).samples]


def write_records(folder: Path, found: Sequence[Record]) -> Path:
    """`records.jsonl` in `folder`, as `ldznet segment` leaves it."""
    path = folder / "records.jsonl"
    folder.mkdir(exist_ok=True)
    path.write_text("".join(to_json(record) + "\n" for record in found))
    return path


def changed(found: Sequence[Record], place: int, change: Callable[[Record], Record]) -> list[Record]:
    """The records, one of them changed."""
    return [change(record) if at == place else record for at, record in enumerate(found)]


def renamed(record: Record, **fields: Any) -> Record:
    """The record about an image whose fields are other ones."""
    return replace(record, image=replace(record.image, **fields))
