"""Colours: the nine that objects come in, the fixed ones of their small parts, and which go together."""

from __future__ import annotations

import colorsys
from functools import lru_cache

import numpy as np

RGB = tuple[float, float, float]

PAPER: RGB = (251.0, 249.0, 243.0)
"""The sheet that sketches are drawn on."""

INK: dict[str, RGB] = {"cartoon": (38.0, 36.0, 44.0), "sketch": (104.0, 104.0, 110.0)}
"""Colour of outlines; the photo style has none."""

_PHOTO: dict[str, RGB] = {
    "red": (208, 32, 36),
    "orange": (244, 128, 20),
    "yellow": (246, 216, 36),
    "green": (36, 148, 58),
    "blue": (36, 78, 214),
    "purple": (122, 44, 168),
    "pink": (248, 142, 190),
    "white": (246, 246, 244),
    "black": (30, 30, 34),
}
_SKETCH: dict[str, RGB] = {
    "red": (236, 116, 112),
    "orange": (250, 180, 104),
    "yellow": (251, 232, 112),
    "green": (142, 206, 138),
    "blue": (126, 164, 236),
    "purple": (182, 138, 222),
    "pink": (251, 190, 220),
    "white": (254, 253, 250),
    "black": (88, 88, 94),
}
COLORS: tuple[str, ...] = tuple(_PHOTO)

_PARTS: dict[str, RGB] = {
    "wood": (122, 80, 48),
    "dark": (44, 42, 48),
    "grey": (140, 142, 148),
    "cream": (240, 228, 200),
    "glass": (176, 212, 232),
    "leaf": (70, 138, 66),
    "gold": (176, 116, 40),
}
_LEAST_DISTANCE = {"photo": 30.0, "cartoon": 30.0, "sketch": 17.0}


def mix(a: RGB, b: RGB, share: float) -> RGB:
    """`a` with `share` of `b` in it."""
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share)


def object_rgb(style: str, color: str) -> RGB:
    """The colour without jitter, RGB in [0, 255]."""
    return (_SKETCH if style == "sketch" else _PHOTO)[color]


def jittered(rgb: RGB, random: np.random.Generator, hue: float = 0.012, rest: float = 0.05) -> RGB:
    """A neighbour of `rgb`: hue turned by at most `hue` of the circle, saturation and value scaled."""
    h, s, v = colorsys.rgb_to_hsv(*(channel / 255 for channel in rgb))
    a, b, c = random.uniform(-1.0, 1.0, 3)
    r, g, b_ = colorsys.hsv_to_rgb(
        (h + hue * a) % 1.0, min(1.0, s * (1 + rest * b)), min(1.0, v * (1 + rest * c))
    )
    return (255 * r, 255 * g, 255 * b_)


def part_rgb(style: str, paint: str, main: RGB, color: str) -> RGB:
    """Colour of a part: the object's own, a shade or tint of it, or a fixed one such as "wood"."""
    if paint == "main":
        return main
    if paint == "shade":
        return mix(main, (255, 255, 255), 0.2) if color == "black" else mix(main, (20, 10, 30), 0.24)
    if paint == "light":
        return mix(main, (255, 255, 255), 0.14 if color == "black" else 0.32)
    return mix(_PARTS[paint], PAPER, 0.5) if style == "sketch" else _PARTS[paint]


@lru_cache(maxsize=4096)
def _lab(rgb: RGB) -> tuple[float, float, float]:
    """CIELAB (D65) of sRGB in [0, 255]."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in rgb)]
    r, g, b = linear
    xyz = (
        (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.95047,
        0.2126 * r + 0.7152 * g + 0.0722 * b,
        (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.08883,
    )
    fx, fy, fz = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in xyz)
    return (116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz))


def distance(a: RGB, b: RGB) -> float:
    """CIE76 colour difference; 2 is just noticeable, 100 is black against white."""
    return float(sum((p - q) ** 2 for p, q in zip(_lab(a), _lab(b), strict=True)) ** 0.5)


def stands_out(style: str, color: str, behind: tuple[RGB, ...]) -> bool:
    """Whether an object of this colour can be told from everything that is behind it."""
    rgb = object_rgb(style, color)
    return all(distance(rgb, other) >= _LEAST_DISTANCE[style] for other in behind)
