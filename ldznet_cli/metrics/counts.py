"""Pixel counts at every threshold, from one pass over a probability map: the histogram way, in constant memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ldznet_cli.metrics.thresholds import THRESHOLDS, Probs, levels_of

Mask = NDArray[np.bool_]
Tally = NDArray[np.int64]

_TRUE, _IGNORED = np.uint8(64), np.uint8(255)
"""A level, which is at most 49, and the mask's bit share one byte."""


@dataclass(frozen=True)
class Counts:
    """True and false positives and negatives in pixels: int64, one number a threshold."""

    tp: Tally
    fp: Tally
    fn: Tally
    tn: Tally

    @property
    def union(self) -> Tally:
        """Pixels in the prediction, the mask, or both."""
        return self.tp + self.fp + self.fn

    def at(self, index: int) -> Counts:
        """The counts at one threshold."""
        return Counts(self.tp[index], self.fp[index], self.fn[index], self.tn[index])


def count(prob: Probs, mask: Mask, ignore: Mask | None = None) -> Counts:
    """The counts of `prob > t` (strictly) against `mask` for each t of THRESHOLDS, pixels under `ignore` left out.

    `prob` holds floats in [0, 1] and `mask` bools, both (H, W). Equal to comparing map and threshold one by one, to
    the last bit, but each pixel is looked at once.
    """
    if not prob.shape == mask.shape == (mask if ignore is None else ignore).shape:
        raise ValueError(f"map {prob.shape}, mask {mask.shape} and ignored pixels must have one shape")
    absent, present = _histograms(prob, mask, ignore)
    tp, fp = _above(present), _above(absent)
    return Counts(tp, fp, present.sum() - tp, absent.sum() - fp)


def count_mask(found: Mask, mask: Mask, ignore: Mask | None = None) -> Counts:
    """The counts of one hard mask, as if there were one threshold."""
    valid = np.ones_like(mask) if ignore is None else ~ignore
    pairs = (found & mask, found & ~mask, ~found & mask, ~found & ~mask)
    return Counts(*(np.array([np.count_nonzero(pixels & valid)], dtype=np.int64) for pixels in pairs))


def _histograms(prob: Probs, mask: Mask, ignore: Mask | None) -> tuple[Tally, Tally]:
    """How many pixels (outside, inside) the mask exceed 0, 1, ..., 49 thresholds."""
    codes = levels_of(prob)
    codes += mask.ravel().view(np.uint8) * _TRUE
    if ignore is not None:
        codes[ignore.ravel()] = _IGNORED
    # Pillow's histogram of an 8-bit band counts bytes three times as fast as np.bincount, which widens them first.
    bins = np.array(
        Image.frombuffer("L", (codes.size, 1), codes, "raw", "L", 0, 1).histogram(), dtype=np.int64
    )
    levels = len(THRESHOLDS) + 1
    return bins[:levels], bins[_TRUE : int(_TRUE) + levels]


def _above(histogram: Tally) -> Tally:
    """For each threshold k, the pixels of level k + 1 and more."""
    return histogram[:0:-1].cumsum()[::-1]
