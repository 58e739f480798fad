"""The objects' geometry: each shape is a tuple of painted polygons in a unit square, y downwards, drawn in order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Part = tuple[str, Points]
Shape = tuple[Part, ...]
XY = tuple[float, float]


def poly(paint: str, *corners: XY) -> Part:
    """A polygon."""
    return paint, np.array(corners, dtype=np.float64)


def box(paint: str, left: float, top: float, right: float, bottom: float) -> Part:
    """An upright rectangle."""
    return poly(paint, (left, top), (right, top), (right, bottom), (left, bottom))


def oval(
    paint: str, x: float, y: float, rx: float, ry: float, start: float = 0.0, stop: float = 360.0
) -> Part:
    """An ellipse, or its sector's chord shape between two angles in degrees (0 is right, 90 is down)."""
    whole = stop - start >= 360
    angles = np.radians(np.linspace(start, stop, 29 if whole else 19))[: 28 if whole else None]
    return paint, np.stack([x + rx * np.cos(angles), y + ry * np.sin(angles)], axis=1)


def bow(
    paint: str, x: float, y: float, rx: float, ry: float, start: float, stop: float, width: float
) -> Part:
    """A bent bar: the ellipse's arc with a thickness; its inside stays open."""
    angles = np.radians(np.linspace(start, stop, 16))
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    outer = circle * (rx + width / 2, ry + width / 2) + (x, y)
    inner = circle * (rx - width / 2, ry - width / 2) + (x, y)
    return paint, np.concatenate([outer, inner[::-1]])


def star(paint: str, x: float, y: float, points: int, outer: float, inner: float) -> Part:
    """A star with its first point up."""
    angles = np.pi * np.arange(2 * points) / points - np.pi / 2
    radius = np.where(np.arange(2 * points) % 2 == 0, outer, inner)
    return paint, np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)


def wavy_dome(paint: str, x: float, y: float, rx: float, ry: float, scallops: int) -> Part:
    """A half ellipse whose lower rim is cut into scallops: an umbrella's cloth."""
    top = np.radians(np.linspace(180, 360, 21))
    dome = np.stack([x + rx * np.cos(top), y + ry * np.sin(top)], axis=1)
    along = np.linspace(1, -1, 8 * scallops + 1)
    rise = -0.075 * np.abs(np.sin(np.pi * scallops * (along + 1) / 2))
    return paint, np.concatenate([dome, np.stack([x + rx * along, y + rise], axis=1)[1:-1]])


def petals(paint: str, x: float, y: float, count: int, ring: float, size: float) -> tuple[Part, ...]:
    """A ring of round petals."""
    angles = 2 * np.pi * np.arange(count) / count - np.pi / 2
    return tuple(oval(paint, x + ring * np.cos(a), y + ring * np.sin(a), size, size) for a in angles)
