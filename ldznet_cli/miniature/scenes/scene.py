"""What a scene is: an image whose every pixel belongs to one named region; and where its randomness comes from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ldznet_cli.errors import UsageError

RENDERER_VERSION = 1
STYLES = ("photo", "cartoon", "sketch")
SIZE = 128

Kind = Literal["object", "stuff"]
Position = Literal["left", "right"]
Mask = NDArray[np.bool_]
Pixels = NDArray[np.uint8]
Field = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Region:
    """One object, the ground or the backdrop; `mask` is bool (128, 128), true where it is visible."""

    kind: Kind
    name: str
    color: str | None
    mask: Mask
    position: Position | None


@dataclass(frozen=True, eq=False)
class Scene:
    """A rendered scene: `image` is uint8 RGB (128, 128, 3); the regions' masks partition it."""

    style: str
    seed: int
    image: Pixels
    regions: tuple[Region, ...]


def generator(*parts: object) -> np.random.Generator:
    """Philox keyed by the SHA-256 of the parts: the same numbers on every machine."""
    digest = hashlib.sha256("|".join(str(part) for part in parts).encode()).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest[:16], dtype="<u8")))


def scene_generator(style: str, seed: int) -> np.random.Generator:
    """The one source of everything random in `render(style, seed)`."""
    return generator(RENDERER_VERSION, style, seed)


def scene_seed(seed: int, index: int) -> int:
    """Scene seed of image `index` of the set with `seed`: different for any two (seed, index), so sets never overlap.

    Raises UsageError for a negative seed or an index outside [0, 2**32).
    """
    if seed < 0 or not 0 <= index < 2**32:
        raise UsageError(
            f"a set's seed must be at least 0 and its index below 2**32, found {seed} and {index}"
        )
    return (seed << 32) | index
