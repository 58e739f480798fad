"""From an image to the network's grid and back: three ways to choose the grid, one exactly aligned inverse.

No way crops or pads: grid and image differ by a pure scaling of each axis, x_image = (x_grid + 0.5) * W / w - 0.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, log, sqrt
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ldznet_cli.errors import UsageError

if TYPE_CHECKING:
    import torch

Kind = Literal["aligned", "square", "official"]
KINDS: tuple[Kind, ...] = ("aligned", "square", "official")

LATENT = 8
"""The first stage's factor: sides of the network's grid are multiples of it."""

MIN_SIDE = 64
"""8 latent positions: the nets halve the latent three times."""

MAX_SIDE = 4096

ASPECT, AREA = 1.02, 1.2
"""`aligned`: the grid's aspect ratio within 2 % of the image's, its area within 20 % of size²."""

OFFICIAL_STEP = 64
"""`official`: the authors' inference floors both sides to multiples of 64."""


@dataclass(frozen=True)
class Geometry:
    """How an image becomes the network's input. `size` is the side, in pixels, of a square image's grid.

    - `aligned` (ours): sides multiples of 8, at least 64; area within 20 % of size²; aspect ratio within 2 %. Where
      both cannot be had the area holds, so that memory stays bounded, and the aspect ratio is the nearest there is:
      size 128 has grids too few for 2 % everywhere (it is within 2.9 % up to 4.7:1), 384 keeps 2 % up to 43:1. Lanczos.
    - `square`: the whole image squashed to size x size, as in CLIPSeg's protocol. Bilinear.
    - `official`: the authors' inference (LD-ZNet's public code): about size² pixels in the image's proportion, then
      both sides floored to multiples of 64, which shifts the aspect ratio by up to 17 %. Lanczos. (A side under 64
      becomes 64; theirs fails.)
    """

    kind: Kind = "aligned"
    size: int = 384

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"unknown geometry {self.kind!r}: expected one of {', '.join(KINDS)}")
        if not MIN_SIDE <= self.size <= MAX_SIDE or self.size % LATENT:
            raise UsageError(
                f"geometry size {self.size}: expected a multiple of {LATENT} from {MIN_SIDE} to {MAX_SIDE}"
            )

    def network_size(self, width: int, height: int) -> tuple[int, int]:
        """(W, H) in pixels of the network's grid for an image of width x height pixels."""
        if self.kind == "square":
            return self.size, self.size
        if self.kind == "official":
            return _official(width, height, self.size)
        return _aligned(width, height, self.size)


def to_pixels(image: Image.Image, geometry: Geometry) -> NDArray[np.float32]:
    """The RGB image on the network's grid: (3, H, W), in [-1, 1]."""
    method = Image.Resampling.BILINEAR if geometry.kind == "square" else Image.Resampling.LANCZOS
    resized = image.resize(geometry.network_size(*image.size), method)
    pixels = np.asarray(resized, dtype=np.float32).transpose(2, 0, 1)
    return np.ascontiguousarray(pixels / np.float32(127.5) - np.float32(1))


def to_tensor(image: Image.Image, geometry: Geometry) -> torch.Tensor:
    """`to_pixels` as a batch of one: float32 (1, 3, H, W), in [-1, 1], on the CPU."""
    import torch

    return torch.from_numpy(to_pixels(image, geometry))[None]


def to_image_size(prob: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """A map (h, w) on the network's grid, brought to (height, width): bilinear, half-pixel centres, edges held.

    Exactly aligned: a map that is linear in x_grid comes out linear in x_image. Where the image is smaller than the
    grid the triangle is widened, so that no grid position goes unseen.
    """
    grid = Image.fromarray(np.ascontiguousarray(prob, dtype=np.float32))
    return np.array(grid.resize((width, height), Image.Resampling.BILINEAR), dtype=np.float32)


def _official(width: int, height: int, size: int) -> tuple[int, int]:
    ratio = height / width
    new_width = int(sqrt(size * size / ratio))
    new_height = int(ratio * new_width)  # from the width before it is floored
    return max(_floor(new_width), OFFICIAL_STEP), max(_floor(new_height), OFFICIAL_STEP)


def _floor(side: int) -> int:
    return side // OFFICIAL_STEP * OFFICIAL_STEP


@lru_cache(maxsize=4096)
def _aligned(width: int, height: int, size: int) -> tuple[int, int]:
    """The best of all grids within the area's bounds: first those within the aspect's bound, then the smallest sum of
    both errors, each in units of its bound."""
    ratio, area = width / height, (size / LATENT) ** 2

    def cost(grid: tuple[int, int]) -> tuple[float, float, tuple[int, int]]:
        w, h = grid
        aspect = abs(log(w / h / ratio)) / log(ASPECT)
        return max(aspect, 1.0), aspect + abs(log(w * h / area)) / log(AREA), grid

    w, h = min(_grids(ratio, area), key=cost)
    return w * LATENT, h * LATENT


def _grids(ratio: float, area: float) -> Iterator[tuple[int, int]]:
    """For each height, in latent positions, the two widths nearest to the ratio that the area allows."""
    least = MIN_SIDE // LATENT
    for h in range(least, int(area * AREA) // least + 1):
        low, high = max(least, ceil(area * (2 - AREA) / h)), int(area * AREA / h)
        if low <= high:
            for w in {int(ratio * h), int(ratio * h) + 1}:
                yield min(max(w, low), high), h
