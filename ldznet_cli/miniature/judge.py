"""The judge of samples: a small classifier that says which object stands at each place of an image, in which colour."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ldznet_cli.miniature.autoencoder import to_pixels
from ldznet_cli.miniature.data import Images
from ldznet_cli.miniature.scenes import COLORS, OBJECTS, SIZE, Scene

GRID = 8
"""Places along each side of an image: the judge answers for each of them."""

Shares = NDArray[np.float32]


def what_stands_where(scene: Scene) -> tuple[Shares, Shares]:
    """Shares of each place's pixels: every object's and, last, what is none (15, 8, 8); every colour's (9, 8, 8)."""
    cell = SIZE // GRID
    objects = np.zeros((len(OBJECTS) + 1, GRID, GRID), dtype=np.float32)
    colors = np.zeros((len(COLORS), GRID, GRID), dtype=np.float32)
    for region in scene.regions:
        if region.color is not None:
            share = region.mask.reshape(GRID, cell, GRID, cell).mean((1, 3), dtype=np.float32)
            objects[OBJECTS.index(region.name)] += share
            colors[COLORS.index(region.color)] += share
    objects[-1] = 1 - objects.sum(0)
    return objects, colors


class Judge(nn.Module):
    """Strided convolutions down to the grid, residual blocks, and at each place two answers: object and colour."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for narrow, wide in pairwise((3, *widths)):
            layers += [_convolution(narrow, wide, stride=2), nn.ReLU()]
        layers.insert(-2, _Residual(widths[-2]))
        layers += [_Residual(widths[-1]), _Residual(widths[-1])]
        self.layers = nn.Sequential(*layers)
        self.objects = nn.Conv2d(widths[-1], len(OBJECTS) + 1, 1)
        self.colors = nn.Conv2d(widths[-1], len(COLORS), 1)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of objects and none (B, 15, 8, 8) and of colours (B, 9, 8, 8); images (B, 3, 128, 128) in [-1, 1]."""
        seen = self.layers(pixels)
        return self.objects(seen), self.colors(seen)


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(_convolution(width, width), nn.ReLU(), _convolution(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.layers(x))


def _convolution(narrow: int, wide: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(narrow, wide, 3, stride, padding=1, bias=False), nn.BatchNorm2d(wide))


@torch.no_grad()
def named_pairs(judge: Judge, images: Images) -> list[str]:
    """As in "red lamp": the object that takes most of each image (n, 128, 128, 3), and the colour where it is."""
    pairs = []
    for start in range(0, len(images), 50):
        objects, colors = (logits.softmax(1) for logits in judge(to_pixels(images[start : start + 50])))
        named = objects[:, :-1].sum((2, 3)).argmax(1)
        where = objects[torch.arange(len(named)), named].unsqueeze(1)
        shown = (colors * where).sum((2, 3)).argmax(1)
        pairs += [f"{COLORS[int(c)]} {OBJECTS[int(o)]}" for c, o in zip(shown, named, strict=True)]
    return pairs


def agreement(found: Sequence[str], wanted: Sequence[str]) -> dict[str, float]:
    """Shares of images whose object, colour, and both are what was wanted."""
    words = [(a.split(" ", 1), b.split(" ", 1)) for a, b in zip(found, wanted, strict=True)]
    return {
        "color": float(np.mean([a[0] == b[0] for a, b in words])),
        "object": float(np.mean([a[1] == b[1] for a, b in words])),
        "both": float(np.mean([a == b for a, b in words])),
    }
