"""The patterns of grounds and backdrops: few lines and dots, so that eight pixels of an autoencoder can hold them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import ImageDraw

from ldznet_cli.miniature.scenes.scene import SIZE

SCALE = 3
"""Supersampling: everything is drawn three times as large and averaged."""

Pen = ImageDraw.ImageDraw
Pattern = Callable[[Pen, np.random.Generator, float], None]
"""Draws with fill=255 on a grey canvas of (SIZE * SCALE)²; the float is the horizon's y in scene pixels."""


def _line(pen: Pen, points: list[tuple[float, float]], width: float) -> None:
    pen.line([(x * SCALE, y * SCALE) for x, y in points], fill=255, width=round(width * SCALE))


def _dot(pen: Pen, x: float, y: float, rx: float, ry: float) -> None:
    pen.ellipse([(x - rx) * SCALE, (y - ry) * SCALE, (x + rx) * SCALE, (y + ry) * SCALE], fill=255)


def _rows(horizon: float, first: float, growth: float) -> list[float]:
    """Heights of lines on the ground that lie further apart towards the viewer."""
    rows, y, step = [], horizon + first, first
    while y < SIZE + step:
        rows.append(y)
        step *= growth
        y += step
    return rows


def _fan(pen: Pen, random: np.random.Generator, horizon: float, gap: float, width: float) -> None:
    """Lines that run towards a vanishing point above the horizon."""
    centre, start = SIZE / 2 + random.uniform(-20, 20), random.uniform(0, gap)
    for x in np.arange(-SIZE + start, 2 * SIZE, gap):
        far = centre + (x - centre) * 0.55
        _line(pen, [(far, horizon), (x, SIZE)], width)


def grass(pen: Pen, random: np.random.Generator, horizon: float) -> None:
    """Tufts of three blades."""
    for y in _rows(horizon, 7, 1.12):
        for x in np.arange(random.uniform(0, 18), SIZE, 18) + random.uniform(-3, 3):
            for lean in (-2.6, 0.0, 2.6):
                _line(pen, [(x + lean * 0.4, y), (x + lean, y - 5)], 1.2)


def sand(pen: Pen, random: np.random.Generator, horizon: float) -> None:
    """Scattered grains."""
    for y in _rows(horizon, 6, 1.15):
        for x in np.arange(random.uniform(0, 16), SIZE, 16):
            _dot(pen, x + random.uniform(-4, 4), y + random.uniform(-2, 2), 1.3, 1.0)


def water(pen: Pen, random: np.random.Generator, horizon: float) -> None:
    """Waves."""
    for y in _rows(horizon, 7, 1.12):
        x = np.arange(-6, SIZE + 8, 4.0)
        phase = random.uniform(0, 6.28)
        _line(
            pen, [(float(a), float(b)) for a, b in zip(x, y + 1.8 * np.sin(x / 5 + phase), strict=True)], 1.5
        )


def snow(pen: Pen, random: np.random.Generator, horizon: float) -> None:
    """A few soft drifts."""
    for y in _rows(horizon, 10, 1.2):
        x, reach = random.uniform(-20, SIZE), random.uniform(30, 50)
        along = np.linspace(0, 1, 10)
        _line(pen, [(float(x + reach * t), float(y - 5 * np.sin(np.pi * t))) for t in along], 1.8)


def wooden_floor(pen: Pen, random: np.random.Generator, horizon: float) -> None:
    """Boards that run away from the viewer."""
    _fan(pen, random, horizon, 22, 1.3)


def carpet(pen: Pen, random: np.random.Generator, horizon: float) -> None:
    """Rows of diamonds."""
    shift = random.uniform(0, 20)
    for row, y in enumerate(np.arange(horizon + 8, SIZE + 8, 12)):
        for x in np.arange(shift - 20 + 10 * (row % 2), SIZE + 20, 20):
            pen.polygon(
                [((x + dx) * SCALE, (y + dy) * SCALE) for dx, dy in ((-5, 0), (0, -4), (5, 0), (0, 4))],
                fill=255,
            )


def tiles(pen: Pen, random: np.random.Generator, horizon: float) -> None:
    """A grid in perspective."""
    _fan(pen, random, horizon, 30, 1.4)
    for y in _rows(horizon, 8, 1.3):
        _line(pen, [(0, y), (SIZE, y)], 1.4)


def road(pen: Pen, random: np.random.Generator, horizon: float) -> None:
    """A dashed line along it, and its far edge."""
    y = horizon + (SIZE - horizon) * random.uniform(0.45, 0.6)
    for x in np.arange(random.uniform(-34, 0), SIZE, 34):
        pen.polygon(
            [(px * SCALE, py * SCALE) for px, py in ((x, y), (x + 19, y), (x + 17, y + 5), (x - 2, y + 5))],
            fill=255,
        )
    _line(pen, [(0, horizon + 3), (SIZE, horizon + 3)], 2.0)


def sky(pen: Pen, random: np.random.Generator, horizon: float) -> None:
    """Two to four clouds."""
    for _ in range(random.integers(2, 5)):
        x, y, size = random.uniform(0, SIZE), random.uniform(6, horizon - 14), random.uniform(7, 11)
        for dx, dy, r in ((-1.1, 0.25, 0.7), (0, 0, 1.0), (1.1, 0.2, 0.75)):
            _dot(pen, x + dx * size, y + dy * size, r * size, r * size * 0.62)


def night_sky(pen: Pen, random: np.random.Generator, horizon: float) -> None:
    """Small lights."""
    for x in np.arange(8, SIZE, 19):
        for y in np.arange(8, horizon - 3, 19):
            _dot(pen, x + random.uniform(-6, 6), y + random.uniform(-6, 6), 1.2, 1.2)


def sunset(pen: Pen, random: np.random.Generator, horizon: float) -> None:
    """Half a sun and some streaks."""
    x, size = random.uniform(20, SIZE - 20), random.uniform(15, 20)
    _dot(pen, x, horizon, size, size)
    for y in np.arange(10, horizon - size - 2, 13):
        start = random.uniform(-20, SIZE - 30)
        _dot(pen, start + 25, y, 28, 1.6)


def brick_wall(pen: Pen, random: np.random.Generator, horizon: float) -> None:
    """Courses of bricks."""
    shift = random.uniform(0, 24)
    for row, y in enumerate(np.arange(horizon, -12, -12)):
        _line(pen, [(0, y), (SIZE, y)], 1.4)
        for x in np.arange(shift - 24 + 12 * (row % 2), SIZE, 24):
            _line(pen, [(x, y), (x, y - 12)], 1.4)


def wooden_wall(pen: Pen, random: np.random.Generator, horizon: float) -> None:
    """Upright boards with a knot each."""
    for x in np.arange(random.uniform(2, 18), SIZE, 18):
        _line(pen, [(x, 0), (x, horizon)], 1.4)
        _dot(pen, x + 9, random.uniform(6, horizon - 4), 1.8, 2.8)


def curtain(pen: Pen, random: np.random.Generator, horizon: float) -> None:
    """Folds."""
    for x in np.arange(random.uniform(-16, 0), SIZE, 16):
        pen.polygon(
            [(a * SCALE, b * SCALE) for a, b in ((x + 2, 0), (x + 8, 0), (x + 10, horizon), (x, horizon))],
            fill=255,
        )


def wallpaper(pen: Pen, random: np.random.Generator, horizon: float) -> None:
    """Dots."""
    shift = random.uniform(0, 18)
    for row, y in enumerate(np.arange(shift / 2, horizon + 6, 13)):
        for x in np.arange(shift - 18 + 9 * (row % 2), SIZE + 9, 18):
            _dot(pen, x, y, 3.0, 3.0)
