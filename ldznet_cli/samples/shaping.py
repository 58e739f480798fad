"""What a mask is made into for the program that comes next: holes filled, specks dropped, grown, inverted, faded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ldznet_cli.samples.masks import box

Mask = NDArray[np.bool_]
Alpha = NDArray[np.uint8]


@dataclass(frozen=True)
class Shaping:
    """In this order: `fill_holes` that the mask encloses, drop connected parts of fewer than `min_area` pixels, grow by
    `pad` pixels in every direction, `invert`, and let the edge fade over `feather` pixels to either side.

    Distances are Euclidean, between the centres of pixels; parts are connected over corners, holes are not.
    """

    fill_holes: bool = False
    min_area: int = 0
    pad: int = 0
    invert: bool = False
    feather: int = 0

    def mask(self, mask: Mask) -> Mask:
        """The bool mask (height, width) in its final shape, all but the fading."""
        if self.fill_holes:
            mask = filled(mask)
        if self.min_area > 1:
            mask = without_specks(mask, self.min_area)
        if self.pad:
            mask = grown(mask, self.pad)
        return ~mask if self.invert else mask

    def alpha(self, mask: Mask) -> Alpha:
        """A mask of that shape as 0 to 255, uint8 (height, width): at least 128 exactly where the mask is."""
        if not self.feather:
            return np.where(mask, np.uint8(255), np.uint8(0))
        return faded(mask, self.feather)


def filled(mask: Mask) -> Mask:
    """The mask and all that it encloses."""
    from scipy import ndimage

    whole: Mask = ndimage.binary_fill_holes(mask)
    return whole


def without_specks(mask: Mask, least: int) -> Mask:
    """The connected parts that have at least so many pixels."""
    from scipy import ndimage

    labels, _ = ndimage.label(mask, structure=np.ones((3, 3), dtype=int))
    kept = np.bincount(labels.ravel()) >= least
    kept[0] = False
    left: Mask = kept[labels]
    return left


def grown(mask: Mask, pixels: int) -> Mask:
    """The mask and every pixel at most so many pixels from it."""
    from scipy import ndimage

    larger = mask.copy()
    if (near := _around(mask, pixels)) is not None and not mask[near].all():
        larger[near] = ndimage.distance_transform_edt(~mask[near]) <= pixels
    return larger


def faded(mask: Mask, pixels: int) -> Alpha:
    """A linear ramp from 0, `pixels` outside of the edge, over one half, at the edge, to 255, as far inside."""
    from scipy import ndimage

    alpha = np.where(mask, np.uint8(255), np.uint8(0))
    if (near := _around(mask, pixels)) is None or mask.all():
        return alpha
    part = mask[near]
    if part.all():
        return alpha
    inside, outside = ndimage.distance_transform_edt(part), ndimage.distance_transform_edt(~part)
    distance = np.where(
        part, inside - 0.5, 0.5 - outside
    )  # of the pixel's centre from the edge between pixels
    alpha[near] = np.rint(255 * np.clip(0.5 + distance / (2 * pixels), 0, 1)).astype(np.uint8)
    return alpha


def _around(mask: Mask, pixels: int) -> tuple[slice, slice] | None:
    """The mask's box and so many pixels more on each side: all that growing or fading can change."""
    tight = box(mask)
    if tight is None:
        return None
    x, y, width, height = tight
    reach = pixels + 1
    return slice(max(0, y - reach), y + height + reach), slice(max(0, x - reach), x + width + reach)
