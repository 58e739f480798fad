"""A training task small enough to be run hundreds of times: bright squares, a fake feature source, a fake net."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ldznet_cli.features.source import RandomFeatures
from ldznet_cli.samples.coco import SampleSet, load_coco
from ldznet_cli.samples.geometry import Geometry
from ldznet_cli.samples.sample import Sample
from ldznet_cli.training.dataset import Reader

GEOMETRY = Geometry("aligned", 64)
SIZES = ((64, 64), (64, 64), (128, 64))
"""(width, height) of the images in turn: batches have to be of one size."""


def squares(folder: Path, count: int = 12, absent: bool = True, seed: int = 0) -> SampleSet:
    """Images of one "square" each, annotated in COCO's way; the odd ones also say that no "circle" is there."""
    (folder / "images").mkdir(parents=True)
    random = np.random.default_rng(seed)
    images, annotations = [], []
    for i in range(count):
        width, height = SIZES[i % len(SIZES)]
        pixels = random.integers(0, 60, (height, width, 3), dtype=np.uint8)
        x, y = (int(value) for value in random.integers(0, 32, 2))
        pixels[y : y + 32, x : x + 32] += 150
        Image.fromarray(pixels).save(folder / "images" / f"{i}.png")
        images.append({"id": i, "file_name": f"{i}.png", "width": width, "height": height})
        ring = [x, y, x + 32, y, x + 32, y + 32, x, y + 32]
        found = [("square", [ring])] + ([("circle", [])] if absent and i % 2 else [])
        for phrase, rings in found:
            annotation = {"id": len(annotations), "image_id": i, "category_id": 1, "phrase": phrase}
            annotations.append({**annotation, "segmentation": rings, "iscrowd": 0})
    gt = folder / "gt.json"
    categories = [{"id": 1, "name": "square"}]
    gt.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return load_coco(gt)


class Shapes:
    """The fake source at each image's own latent size."""

    def __init__(self, samples: SampleSet) -> None:
        self.sources = {
            sample.image: RandomFeatures({2: (3, 4, 4)}, _latent_size(sample), (4, 6))
            for sample in samples.samples
        }

    def features(self, image, items):  # type: ignore[no-untyped-def]
        return self.sources[image].features(image, items)


def _latent_size(sample: Sample) -> tuple[int, int]:
    width, height = GEOMETRY.network_size(sample.width, sample.height)
    return height // 8, width // 8


def reader(samples: SampleSet) -> Reader:
    """Batches of fake features, and true masks."""
    return Reader(Shapes(samples), GEOMETRY)


class Dot(nn.Module):
    """The smallest net with the right interface: it sees z, text and one feature, and brings z's grid to pixels."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.conv, self.text, self.feature = (
                nn.Conv2d(4, 8, 3, padding=1),
                nn.Linear(6, 8),
                nn.Linear(3, 8),
            )
            self.up = nn.ConvTranspose2d(8, 1, 8, 8)

    def forward(self, z: Tensor, text: Tensor, features: dict[int, Tensor]) -> Tensor:
        words = self.text(text).mean(1) + self.feature(features[2].mean((2, 3)))
        return self.up(torch.relu(self.conv(z)) * words[:, :, None, None])
