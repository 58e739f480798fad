"""The picture of an arrangement in each style: stuff first, then the objects from back to front."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageFilter

from ldznet_cli.miniature.scenes.figure import Placed, painted
from ldznet_cli.miniature.scenes.palette import INK, RGB, jittered
from ldznet_cli.miniature.scenes.scene import SIZE, Field, Pixels
from ldznet_cli.miniature.scenes.stuff import STUFF, Stuff, grid, pattern_field

_NOISE = 2.8
"""Standard deviation of the photographs' noise, in levels of 255."""


def picture(
    style: str,
    stuff: tuple[str, str],
    horizon: float,
    edge: Field,
    placed: list[Placed],
    colors: list[str],
    random: np.random.Generator,
) -> Pixels:
    """uint8 RGB (128, 128, 3)."""
    light = float(random.choice([-1.0, 1.0])) * float(random.uniform(0.6, 1.0))
    canvas = _stuff(style, stuff, horizon, edge, random)
    for p, color in zip(placed, colors, strict=True):
        if style == "photo":
            _cast_shadow(canvas, p, light, horizon)
        rows, columns, tile_rows, tile_columns = p.window()
        tile = painted(style, p.figure, color, light, random)[tile_rows, tile_columns]
        alpha = p.figure.alpha[tile_rows, tile_columns, None]
        canvas[rows, columns] += (tile - canvas[rows, columns]) * alpha
    if style == "photo":
        _exposed(canvas, random)
    pixels: Pixels = np.clip(np.rint(canvas), 0, 255).astype(np.uint8)
    return pixels


def _stuff(
    style: str, stuff: tuple[str, str], horizon: float, edge: Field, random: np.random.Generator
) -> Field:
    """Ground and backdrop with a smooth edge between them, float32 (128, 128, 3)."""
    ground, backdrop = (STUFF[name] for name in stuff)
    y = grid()[1]
    share = np.clip(y - edge + np.float32(0.5), 0, 1)[..., None]
    far = np.clip(y / np.float32(horizon), 0, 1)
    near = np.clip((y - np.float32(horizon)) / np.float32(SIZE - horizon), 0, 1)
    below = _covered(style, ground, near, horizon, random)
    above = _covered(style, backdrop, far, horizon, random)
    canvas: Field = above + (below - above) * share
    if style != "photo":
        thin = 1.0 if style == "cartoon" else 0.6
        line = np.clip(np.float32(thin + 0.5) - np.abs(y - edge), 0, 1)[..., None]
        canvas += (np.array(INK[style], dtype=np.float32) - canvas) * line * np.float32(0.9)
    return canvas


def _covered(style: str, stuff: Stuff, along: Field, horizon: float, random: np.random.Generator) -> Field:
    """One stuff over the whole frame; `along` runs from 0 at its top to 1 at its bottom."""
    top, bottom, ink = (np.array(rgb, dtype=np.float32) for rgb in _shifted(stuff.colours(style), random))
    pattern = pattern_field(stuff, random, horizon)
    if style == "photo" and stuff.soft:
        pattern = pattern.filter(ImageFilter.GaussianBlur(stuff.soft))
    strength = stuff.strength * {"photo": 0.75, "cartoon": 0.78, "sketch": 0.72}[style]
    field = np.asarray(pattern, dtype=np.float32)[..., None] * np.float32(strength / 255)
    base = top + (bottom - top) * along[..., None]
    if style == "photo":
        base = base * (1 + np.float32(0.035) * _texture(stuff.grain, random)[..., None])
    covered: Field = base + (ink - base) * field
    return covered


def _shifted(colours: tuple[RGB, RGB, RGB], random: np.random.Generator) -> tuple[RGB, RGB, RGB]:
    """All three turned alike, so that a pattern stays a pattern."""
    state = int(random.integers(2**32))
    a, b, c = (jittered(rgb, np.random.Generator(np.random.Philox(key=state)), 0.01, 0.04) for rgb in colours)
    return a, b, c


def _texture(grain: tuple[int, int], random: np.random.Generator) -> Field:
    """Smooth noise of about unit variance, float32 (128, 128)."""
    coarse = random.standard_normal(grain, dtype=np.float32)
    return np.asarray(Image.fromarray(coarse).resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def _cast_shadow(canvas: Field, p: Placed, light: float, horizon: float) -> None:
    """A soft shadow away from the light, and a dark touch under what stands on the ground."""
    rows, columns, tile_rows, tile_columns = p.window()
    cover = Image.fromarray((p.figure.alpha * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(2.5))
    cast = np.roll(np.asarray(cover, dtype=np.float32), (2, round(-4 * light)), axis=(0, 1))[
        tile_rows, tile_columns
    ]
    canvas[rows, columns] *= 1 - np.float32(0.3 / 255) * cast[..., None]
    if p.bottom > horizon:
        left, _, right, _ = p.figure.bounds
        middle, half = p.x + (left + right) / 2 - 3 * light, (right - left) / 2 + 2
        x, y = grid()
        band = slice(max(0, p.bottom - 9), min(SIZE, p.bottom + 8))
        touch = np.exp(-(((x[band] - middle) / half) ** 4) - ((y[band] - p.bottom + 1) / 3.5) ** 2)
        canvas[band] *= 1 - np.float32(0.32) * touch[..., None]


@lru_cache(maxsize=1)
def _vignette() -> Field:
    """What the lens leaves of the light, 1 in the middle and 0.9 in the corners, float32 (128, 128, 1)."""
    x, y = grid()
    fall = ((x / 64 - 1) ** 2 + (y / 64 - 1) ** 2) / 2
    return np.asarray(1 - np.float32(0.1) * fall[..., None], dtype=np.float32)


def _exposed(canvas: Field, random: np.random.Generator) -> None:
    """The camera: brightness, white balance, vignette, noise."""
    warmth = 1 + 0.02 * float(random.uniform(-1, 1))
    gain = float(random.uniform(0.93, 1.05)) * np.array([warmth, 1.0, 2 - warmth], dtype=np.float32)
    canvas *= gain * _vignette()
    canvas += np.float32(_NOISE) * random.standard_normal(canvas.shape, dtype=np.float32)
