"""A part of an image in place of the whole: a square cut out of it, mirrored or not, and how training draws one."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ldznet_cli.errors import UsageError

Mask = NDArray[np.bool_]

LEAST_FOREGROUND = 0.05
"""Share of a drawn square that the phrase's mask should fill (the authors' PhraseCut training)."""
TRIES = 50
"""Squares that are tried for it; the one with the most foreground is taken where none has enough."""
LEAST_SIDE = 8
"""Pixels: one position of the latent grid."""

_SIDES = {"left": "right", "right": "left"}
_WORD = re.compile(r"\b(left|right)(?=(?:most|hand)?\b)", re.IGNORECASE)


@dataclass(frozen=True, order=True)
class View:
    """What is looked at: `box` is (x, y, side) in pixels, () for the whole image; `flip` mirrors left and right."""

    box: tuple[int, ...] = ()
    flip: bool = False

    def size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of the view of an image of that size."""
        return (self.box[2], self.box[2]) if self.box else (width, height)

    def of_image(self, image: Image.Image) -> Image.Image:
        """The view of an upright image."""
        if self.box:
            x, y, side = self.box
            image = image.crop((x, y, x + side, y + side))
        return ImageOps.mirror(image) if self.flip else image

    def of_mask(self, mask: Mask) -> Mask:
        """The view of a mask of the image (H, W)."""
        if self.box:
            x, y, side = self.box
            mask = mask[y : y + side, x : x + side]
        return mask[:, ::-1] if self.flip else mask

    def of_phrase(self, phrase: str) -> str:
        """The phrase that names the same thing in the view: mirrored, "left" is "right"."""
        return _WORD.sub(_other_side, phrase) if self.flip else phrase

    def identity(self, sha256: str) -> str:
        """The name of the view's content: the image's own SHA-256 where it is the whole image as it is."""
        if self == WHOLE:
            return sha256
        name = f"ldznet.view/1|{sha256}|{','.join(map(str, self.box))}|{int(self.flip)}"
        return hashlib.sha256(name.encode()).hexdigest()


WHOLE = View()


def _other_side(found: re.Match[str]) -> str:
    word = found.group()
    other = _SIDES[word.lower()]
    return other.upper() if word.isupper() else other.capitalize() if word[0].isupper() else other


@dataclass(frozen=True)
class ViewPolicy:
    """How views are drawn: squares whose side is at least `crop` of the image's shorter one, half of them mirrored.

    `crop` 1 is the authors' (a square of the shorter side, somewhere); None leaves the image whole. `count` is how many
    views of an image there are for each phrase, 1 to count; None sets no limit. Raises UsageError for a share outside
    (0, 1].
    """

    crop: float | None = None
    flip: bool = False
    seed: int = 0
    count: int | None = None

    def __post_init__(self) -> None:
        if self.crop is not None and not 0 < self.crop <= 1:
            raise UsageError(f"--crop is the least side of a square, a share in (0, 1], found {self.crop}")

    def of(
        self, sha256: str, phrase: str, index: int, size: tuple[int, int], mask: Mask | None = None
    ) -> View:
        """View `index` for a phrase put to the image of this SHA-256 and (width, height): the same on every machine.

        `mask` is None for a phrase that names something absent.
        """
        name = f"ldznet.view/1|{self.seed}|{sha256}|{phrase}|{index}"
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "big")
        return self.draw(np.random.Generator(np.random.Philox(key=key)), *size, mask)

    def draw(self, random: np.random.Generator, width: int, height: int, mask: Mask | None = None) -> View:
        """A view of an image. A square keeps at least 5 % foreground of `mask` if one in 50 does, else the most."""
        box = () if self.crop is None else _square(random, self.crop, width, height, mask)
        return View(box, self.flip and bool(random.random() < 0.5))


def _square(
    random: np.random.Generator, least: float, width: int, height: int, mask: Mask | None
) -> tuple[int, int, int]:
    sums = None if mask is None else np.pad(mask.cumsum(0, dtype=np.int64).cumsum(1), ((1, 0), (1, 0)))
    best, most = (0, 0, 0), -1.0
    for _ in range(TRIES):
        shorter = min(width, height)
        side = max(min(LEAST_SIDE, shorter), round(shorter * random.uniform(least, 1)))
        x, y = (int(random.integers(length - side + 1)) for length in (width, height))
        share = 1.0
        if sums is not None:
            inside = sums[y + side, x + side] - sums[y, x + side] - sums[y + side, x] + sums[y, x]
            share = float(inside) / side**2
        if share > most:
            best, most = (x, y, side), share
        if share >= LEAST_FOREGROUND:
            break
    return best
