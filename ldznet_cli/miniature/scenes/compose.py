"""Putting a scene together: what stands where, in which colour, and the picture with its masks."""

from __future__ import annotations

from typing import cast

import numpy as np
from PIL import Image, ImageFilter

from ldznet_cli.errors import UsageError
from ldznet_cli.miniature.scenes.figure import Figure, Placed, figure
from ldznet_cli.miniature.scenes.objects import OBJECTS, SHAPES
from ldznet_cli.miniature.scenes.palette import COLORS, RGB, distance, object_rgb, stands_out
from ldznet_cli.miniature.scenes.picture import picture
from ldznet_cli.miniature.scenes.scene import (
    SIZE,
    STYLES,
    Field,
    Mask,
    Position,
    Region,
    Scene,
    scene_generator,
)
from ldznet_cli.miniature.scenes.stuff import BACKDROPS, GROUNDS, STUFF, Stuff, grid

_COUNT_WEIGHTS = (0.35, 0.35, 0.2, 0.1)
_AREAS = ((0.09, 0.19), (0.07, 0.13), (0.06, 0.1), (0.052, 0.08))
_LONGEST = (88.0, 78.0, 70.0, 62.0)
_LEAST_VISIBLE = 0.62
_LEAST_STUFF = 0.08


def render(style: str, seed: int) -> Scene:
    """The scene of a style and a seed: a pure function.

    Raises UsageError for an unknown style.
    """
    if style not in STYLES:
        raise UsageError(f"unknown style {style!r}: expected one of {', '.join(STYLES)}")
    random = scene_generator(style, seed)
    ground, backdrop = _pair_of_stuff(style, random)
    horizon = float(random.uniform(0.45, 0.75)) * SIZE
    edge = _edge(STUFF[ground], horizon, random)
    below = (grid()[1] > edge).astype(np.bool_)
    placed, masks, colors = _arrangement(style, (ground, backdrop), below, horizon, random)
    pixels = picture(style, (ground, backdrop), horizon, edge, placed, colors, random)
    regions = [
        _region(p.figure.name, color, mask) for p, color, mask in zip(placed, colors, masks, strict=True)
    ]
    rest = ~np.logical_or.reduce(masks)
    regions.append(Region("stuff", ground, None, rest & below, None))
    regions.append(Region("stuff", backdrop, None, rest & ~below, None))
    return Scene(style, seed, pixels, tuple(regions))


def _pair_of_stuff(style: str, random: np.random.Generator) -> tuple[str, str]:
    """A ground and a backdrop that can be told apart where they meet."""
    while True:
        ground, backdrop = str(random.choice(GROUNDS)), str(random.choice(BACKDROPS))
        if distance(STUFF[ground].colours(style)[0], STUFF[backdrop].colours(style)[1]) >= 16:
            return ground, backdrop


def _edge(ground: Stuff, horizon: float, random: np.random.Generator) -> Field:
    """Height of the ground's upper edge at every column, float32 (128,)."""
    x = grid()[0][0]
    phase, waves = random.uniform(0, 6.28), random.uniform(1, 2)
    edge: Field = (horizon + ground.hills * np.sin(x * (2 * np.pi * waves / SIZE) + phase)).astype(np.float32)
    return edge


def _arrangement(
    style: str, stuff: tuple[str, str], below: Mask, horizon: float, random: np.random.Generator
) -> tuple[list[Placed], list[Mask], list[str]]:
    """Objects from back to front, their visible masks and colours; drawn anew until stuff and objects all show."""
    while True:
        placed = _placed(style, horizon, random)
        masks = visible([p.mask() for p in placed])
        rest = ~np.logical_or.reduce(masks)
        if min((rest & below).mean(), (rest & ~below).mean()) >= _LEAST_STUFF:
            colors = _colors(style, stuff, below, masks, random)
            if colors is not None:
                return placed, masks, colors


def _placed(style: str, horizon: float, random: np.random.Generator) -> list[Placed]:
    count = int(random.choice(4, p=_COUNT_WEIGHTS))
    overlapping = random.random() < 0.45
    placed: list[Placed] = []
    for _ in range(count + 1):
        repeat = bool(placed) and random.random() < 0.22
        name = placed[-1].figure.name if repeat else str(random.choice(OBJECTS))
        low, high = _AREAS[count]
        area = SIZE * SIZE * float(random.uniform(low, high))
        it = figure(style, name, int(random.integers(len(SHAPES[name]))), area, _LONGEST[count], random)
        for attempt in range(40):
            candidate = _somewhere(it, horizon, random)
            together = sorted([*placed, candidate], key=lambda p: p.bottom)
            if _fits(together, overlapping or attempt >= 25):
                placed = together
                break
    return placed


def _somewhere(it: Figure, horizon: float, random: np.random.Generator) -> Placed:
    """Standing on the ground three times out of four, else anywhere; always whole inside the frame."""
    left, top, right, bottom = it.bounds
    x = int(random.integers(2 - left, SIZE - 2 - right + 1))
    lowest, highest = SIZE - 2, bottom - top + 2
    foot = max(highest, int(horizon) + 3) if random.random() < 0.75 else highest
    return Placed(it, x, int(random.integers(min(foot, lowest), lowest + 1)) - bottom)


def _fits(together: list[Placed], overlapping: bool) -> bool:
    """Whether every object (back to front) keeps enough of itself visible; all of it unless `overlapping`."""
    whole = [p.mask() for p in together]
    seen = visible(whole)
    least = _LEAST_VISIBLE if overlapping else 1.0
    return all(s.sum() >= least * w.sum() for s, w in zip(seen, whole, strict=True))


def visible(whole: list[Mask]) -> list[Mask]:
    """What is left of each mask when those later in the list stand in front of it."""
    front = np.zeros((SIZE, SIZE), dtype=np.bool_)
    seen: list[Mask] = []
    for mask in reversed(whole):
        seen.append(mask & ~front)
        front |= mask
    return seen[::-1]


def _colors(
    style: str, stuff: tuple[str, str], below: Mask, masks: list[Mask], random: np.random.Generator
) -> list[str] | None:
    """A colour for each object that stands out from all that it touches; None if there is none."""
    colors: list[str] = []
    for i, mask in enumerate(masks):
        behind: list[RGB] = []
        for name, where in zip(stuff, (below, ~below), strict=True):
            if _grown(mask, where):
                behind.extend(STUFF[name].colours(style)[:2])
        behind += [object_rgb(style, colors[j]) for j in range(i) if _grown(mask, masks[j])]
        able = [color for color in COLORS if stands_out(style, color, tuple(behind))]
        if not able:
            return None
        colors.append(str(random.choice(able + ["white"] * ("white" in able))))  # white seldom stands out
    return colors


def _grown(mask: Mask, other: Mask) -> bool:
    """Whether the mask, two pixels thicker, meets a noticeable part of the other."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    window = (slice(max(0, rows[0] - 3), rows[-1] + 4), slice(max(0, columns[0] - 3), columns[-1] + 4))
    near = np.asarray(Image.fromarray(mask[window].astype(np.uint8)).filter(ImageFilter.MaxFilter(5)))
    return bool(((near > 0) & other[window]).sum() > 12)


def _region(name: str, color: str, mask: Mask) -> Region:
    centre = float(np.flatnonzero(mask.any(axis=0)).mean()) + 0.5
    position = "left" if centre < 0.42 * SIZE else "right" if centre > 0.58 * SIZE else None
    return Region("object", name, color, mask, cast("Position | None", position))
