"""Grounds and backdrops: two colours, a grain, and a sparse pattern drawn over them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from ldznet_cli.miniature.scenes import patterns
from ldznet_cli.miniature.scenes.palette import PAPER, RGB, mix
from ldznet_cli.miniature.scenes.patterns import SCALE, Pattern
from ldznet_cli.miniature.scenes.scene import SIZE, Field


@dataclass(frozen=True)
class Stuff:
    """Colours (of photographs) at the region's top and bottom, the pattern's, and how strongly each style shows it."""

    top: RGB
    bottom: RGB
    ink: RGB
    pattern: Pattern
    strength: float
    soft: float = 0.0
    """Blur of the pattern in photographs, in pixels."""
    grain: tuple[int, int] = (24, 24)
    """Rows and columns of the noise that makes the photographs' texture."""
    hills: float = 0.0
    """Amplitude in pixels of the ground's upper edge."""

    def colours(self, style: str) -> tuple[RGB, RGB, RGB]:
        """(top, bottom, ink) as the style shows them."""
        if style == "photo":
            return self.top, self.bottom, self.ink
        if style == "cartoon":
            middle = mix(self.top, self.bottom, 0.5)
            if self.pattern is patterns.sunset:
                return _vivid(self.top), _vivid(self.bottom), _vivid(self.ink)
            return _vivid(middle), _vivid(middle), _vivid(self.ink)
        return (
            mix(_vivid(self.top), PAPER, 0.58),
            mix(_vivid(self.bottom), PAPER, 0.58),
            mix(self.ink, PAPER, 0.38),
        )


def _vivid(rgb: RGB) -> RGB:
    grey = sum(rgb) / 3
    r, g, b = (min(255.0, max(0.0, grey + (c - grey) * 1.22)) for c in rgb)
    return (r, g, b)


_GROUNDS: dict[str, Stuff] = {
    "grass": Stuff((104, 158, 72), (88, 146, 56), (58, 112, 40), patterns.grass, 0.6, 0.5, (40, 40), 2.0),
    "sand": Stuff((226, 204, 152), (214, 188, 130), (180, 146, 90), patterns.sand, 0.7, 0.4, (20, 12), 2.0),
    "water": Stuff((84, 156, 190), (44, 116, 162), (168, 214, 230), patterns.water, 0.6, 0.6, (30, 8)),
    "snow": Stuff((226, 234, 244), (240, 244, 250), (178, 198, 226), patterns.snow, 0.7, 1.0, (8, 8), 3.0),
    "wooden floor": Stuff(
        (142, 88, 50), (126, 74, 40), (84, 46, 24), patterns.wooden_floor, 0.7, 0.3, (12, 40)
    ),
    "carpet": Stuff((150, 62, 92), (136, 52, 82), (206, 160, 130), patterns.carpet, 0.55, 0.5, (40, 40)),
    "tiles": Stuff((184, 190, 190), (172, 178, 180), (112, 120, 126), patterns.tiles, 0.7, 0.3, (16, 16)),
    "road": Stuff((94, 94, 100), (80, 80, 86), (226, 222, 208), patterns.road, 0.85, 0.3, (40, 40)),
}
_BACKDROPS: dict[str, Stuff] = {
    "sky": Stuff((112, 174, 232), (176, 212, 240), (246, 249, 252), patterns.sky, 0.9, 1.8, (6, 6)),
    "night sky": Stuff((18, 24, 72), (38, 46, 108), (236, 232, 196), patterns.night_sky, 0.9, 0.3, (6, 6)),
    "sunset": Stuff((168, 104, 158), (250, 166, 92), (255, 226, 140), patterns.sunset, 0.85, 0.8, (10, 4)),
    "brick wall": Stuff(
        (164, 84, 66), (156, 78, 60), (206, 178, 162), patterns.brick_wall, 0.5, 0.4, (30, 30)
    ),
    "wooden wall": Stuff(
        (196, 156, 106), (186, 144, 94), (138, 98, 58), patterns.wooden_wall, 0.65, 0.4, (8, 40)
    ),
    "curtain": Stuff((52, 116, 112), (46, 106, 102), (104, 168, 158), patterns.curtain, 0.6, 1.6, (6, 30)),
    "wallpaper": Stuff(
        (212, 226, 200), (204, 218, 190), (158, 182, 148), patterns.wallpaper, 0.65, 0.5, (30, 30)
    ),
}
GROUNDS: tuple[str, ...] = tuple(_GROUNDS)
BACKDROPS: tuple[str, ...] = tuple(_BACKDROPS)
STUFF: dict[str, Stuff] = {**_GROUNDS, **_BACKDROPS}


@lru_cache(maxsize=1)
def grid() -> tuple[Field, Field]:
    """x and y of the pixels' centres, float32 (128, 128) each."""
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) + np.float32(0.5)
    return x, y


def pattern_field(stuff: Stuff, random: np.random.Generator, horizon: float) -> Image.Image:
    """The pattern's coverage as a grey image of 128x128, 255 where there is ink."""
    canvas = Image.new("L", (SIZE * SCALE, SIZE * SCALE), 0)
    stuff.pattern(ImageDraw.Draw(canvas), random, horizon)
    return canvas.reduce(SCALE)
