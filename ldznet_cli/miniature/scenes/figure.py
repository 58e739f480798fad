"""One object as a tile of pixels: its silhouette first, its paint once its colour is known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from ldznet_cli.miniature.scenes.objects import CENTRED, TURN
from ldznet_cli.miniature.scenes.palette import INK, RGB, jittered, object_rgb, part_rgb
from ldznet_cli.miniature.scenes.patterns import SCALE
from ldznet_cli.miniature.scenes.scene import SIZE, Field, Mask
from ldznet_cli.miniature.scenes.shapes import Points

PAD = 4
_OUTLINE = {"photo": 0, "cartoon": 5, "sketch": 4}
_INK_INDEX = 255


@dataclass(frozen=True, eq=False)
class Figure:
    """An object's tile: palette indices at three times the size; alpha float32 (h, w); mask is alpha >= 0.5."""

    name: str
    paints: tuple[str, ...]
    indices: Image.Image
    alpha: Field
    mask: Mask
    bounds: tuple[int, int, int, int]
    """First column, first row, last column + 1, last row + 1 of the mask inside the tile."""


@dataclass(frozen=True, eq=False)
class Placed:
    """A figure whose tile's corner lies at (x, y) of the scene."""

    figure: Figure
    x: int
    y: int

    @property
    def bottom(self) -> int:
        """The first row below the object."""
        return self.y + self.figure.bounds[3]

    def mask(self) -> Mask:
        """Its pixels if nothing stood in front, bool (128, 128)."""
        whole = np.zeros((SIZE, SIZE), dtype=np.bool_)
        rows, columns, tile_rows, tile_columns = self.window()
        whole[rows, columns] = self.figure.mask[tile_rows, tile_columns]
        return whole

    def window(self) -> tuple[slice, slice, slice, slice]:
        """The scene's rows and columns that the tile covers, and the tile's rows and columns inside the scene."""
        height, width = self.figure.alpha.shape
        top, left = max(0, self.y), max(0, self.x)
        bottom, right = min(SIZE, self.y + height), min(SIZE, self.x + width)
        return (
            slice(top, bottom), slice(left, right),
            slice(top - self.y, bottom - self.y), slice(left - self.x, right - self.x),
        )  # fmt: skip


@cache
def unit_area(name: str, variant: int) -> float:
    """Area of the shape in its unit square, by drawing it once at 200 pixels."""
    canvas = Image.new("L", (300, 300), 0)
    pen = ImageDraw.Draw(canvas)
    for _, points in CENTRED[name][variant]:
        pen.polygon([(150 + 200 * x, 150 + 200 * y) for x, y in points], fill=1)
    return float(np.asarray(canvas, dtype=np.float64).sum()) / 200**2


def _trembling(points: Points, random: np.random.Generator) -> Points:
    """The closed polygon with points added on its edges, moved by about half a pixel: drawn by hand."""
    ahead = np.roll(points, -1, axis=0)
    share = np.linspace(0, 1, 5)[:-1, None] if len(points) < 10 else np.zeros((1, 1))
    dense = (points[:, None] + share * (ahead - points)[:, None]).reshape(-1, 2)
    turn = np.linspace(0, 2 * np.pi, len(dense), endpoint=False)
    phases = random.uniform(0, 2 * np.pi, (2, 2))
    reach = SCALE * min(0.5, float(np.ptp(points, axis=0).min()) / (40 * SCALE))
    moved: Points = (
        dense + reach * np.stack([np.sin(3 * turn + p) + np.sin(5 * turn + q) for p, q in phases], 1) / 1.4
    )
    return moved


def figure(
    style: str, name: str, variant: int, area: float, longest: float, random: np.random.Generator
) -> Figure:
    """The object with about `area` pixels and no side of its box over `longest` pixels, leaning, mirrored at random."""
    stretch = np.exp(random.uniform(-0.09, 0.09))
    mirror = -1.0 if random.random() < 0.5 else 1.0
    lean = np.radians(TURN.get(name, 7.0)) * random.uniform(-1, 1)
    turn = np.array([[np.cos(lean), -np.sin(lean)], [np.sin(lean), np.cos(lean)]])
    affine = turn @ np.diag([stretch * mirror, 1 / stretch])
    shape = CENTRED[name][variant]
    turned = [points @ affine.T for _, points in shape]
    corners = np.concatenate(turned)
    low, high = corners.min(axis=0), corners.max(axis=0)
    size = min(float((area / unit_area(name, variant)) ** 0.5), longest / float((high - low).max()))
    width, height = (int(side) + 2 * PAD + 2 for side in np.ceil((high - low) * size))
    offset = np.array([width, height]) / 2 - size * (low + high) / 2 + random.uniform(-0.5, 0.5, 2)
    polygons = [(points * size + offset) * SCALE for points in turned]
    if style == "sketch":
        polygons = [_trembling(points, random) for points in polygons]
    return _rasterised(style, name, tuple(paint for paint, _ in shape), polygons, (width, height))


def _rasterised(
    style: str, name: str, paints: tuple[str, ...], polygons: list[Points], tile: tuple[int, int]
) -> Figure:
    indices = Image.new("L", (tile[0] * SCALE, tile[1] * SCALE), 0)
    pen = ImageDraw.Draw(indices)
    for number, points in enumerate(polygons, start=1):
        corners: list[tuple[float, float]] = [(float(x), float(y)) for x, y in points]
        pen.polygon(corners, fill=number)
        if width := _OUTLINE[style]:
            small = float(np.ptp(points, axis=0).min()) < 14 * SCALE
            width = width - 1 if small else width
            pen.line([*corners, *corners[:2]], fill=_INK_INDEX, width=width, joint="curve")
    cover = indices.point([0] + [255] * 255).reduce(SCALE)
    alpha = np.asarray(cover, dtype=np.float32) / np.float32(255)
    mask = alpha >= 0.5
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    bounds = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return Figure(name, paints, indices, alpha, mask, bounds)


def painted(style: str, figure: Figure, color: str, light: float, random: np.random.Generator) -> Field:
    """The tile's pixels, float32 RGB (h, w, 3) in [0, 255]; `light` is -1 (from the left) to 1 (from the right)."""
    main = jittered(object_rgb(style, color), random)
    table: list[RGB] = [main if style == "photo" else INK[style]]
    table += [part_rgb(style, paint, main, color) for paint in figure.paints]
    flat = [round(channel) for rgb in table for channel in rgb]
    ink = [round(channel) for channel in INK.get(style, main)]
    indices = figure.indices.copy()
    indices.putpalette(flat + [0] * (3 * _INK_INDEX - len(flat)) + ink)
    pixels = np.asarray(indices.convert("RGB").reduce(SCALE), dtype=np.float32)
    if style == "photo":
        return _lit(pixels, figure, light)
    if style == "sketch":
        return _hatched(pixels, figure, light)
    return pixels


def _lit(pixels: Field, figure: Figure, light: float) -> Field:
    """Brighter on the side of the light, rounded at the edges."""
    height, width = figure.alpha.shape
    soft = np.asarray(
        Image.fromarray((figure.alpha * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(4)),
        dtype=np.float32,
    ) / np.float32(255)
    across = np.roll(soft, 2, axis=1) - np.roll(soft, -2, axis=1)
    down = np.roll(soft, 2, axis=0) - np.roll(soft, -2, axis=0)
    x = np.linspace(-1, 1, width, dtype=np.float32)[None]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    gain = 0.13 * (light * x - y) - 0.42 * (light * across - down)
    lit: Field = pixels * (1 + gain[..., None]) + 26 * gain[..., None]
    return lit


def _hatched(pixels: Field, figure: Figure, light: float) -> Field:
    """Soft slanted pencil strokes on the side away from the light."""
    height, width = figure.alpha.shape
    x, y = np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]
    stroke = np.clip(np.cos((x + y) * np.float32(2 * np.pi / 8.5)) * 1.6 - 0.4, 0, 1)
    away = np.clip(0.45 - light * (2 * x / width - 1), 0, 1)
    hatched: Field = pixels * (1 - 0.17 * (stroke * away)[..., None])
    return hatched
