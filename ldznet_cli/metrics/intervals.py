"""Sums over samples, and their 95 % intervals by bootstrap over images: phrases of one image are not independent,
so whole images are redrawn.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from math import exp, factorial

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.float64]
Wholes = NDArray[np.int64]

REPLICATES = 1000
_MOST = 12  # an image drawn more often than this: 1 in 16 billion
_CUMULATIVE = np.cumsum([exp(-1) / factorial(k) for k in range(_MOST + 1)])

UNIT = 2**40
"""Fractions are summed as whole numbers of 1 / UNIT: whole numbers add up to the same in any order and any process.
Good for 8 million samples."""


def in_units(fractions: ArrayLike) -> Wholes:
    """Numbers in [0, 1], to the nearest 1 / UNIT."""
    return np.asarray(np.rint(np.asarray(fractions, dtype=np.float64) * UNIT), dtype=np.int64)


@lru_cache(maxsize=8)
def weights(seed: int, image: str, replicates: int = REPLICATES) -> Wholes:
    """How often `image` is drawn in each replicate: independent Poisson numbers of mean 1, a function of the arguments.

    (The Poisson bootstrap: for many images as good as drawing n of n, and it needs to know neither n nor the order. The
    same image has the same weights in every run of one seed, so two runs can be compared in pairs.)
    """
    digest = hashlib.sha256(f"ldznet.bootstrap|{seed}|{image}".encode()).digest()
    key = np.frombuffer(digest[:16], dtype="<u8").astype(np.uint64)
    uniform = np.random.Generator(np.random.Philox(key=key)).random(replicates)
    drawn = np.searchsorted(_CUMULATIVE, uniform, side="right").astype(np.int64)
    drawn.setflags(write=False)
    return drawn


class ImageSums:
    """Sums of a few whole quantities a sample: of all samples, and in each replicate. Quantity 0 counts the samples.

    Constant memory; what comes in which order, or is merged when, makes no difference to the last bit.
    update, merge, then read; `replicates` 0 for no intervals.
    """

    def __init__(self, quantities: int, seed: int = 0, replicates: int = REPLICATES) -> None:
        self.seed = seed
        self.total = np.zeros(1 + quantities, dtype=np.int64)
        self._drawn = np.zeros((1 + quantities, replicates), dtype=np.int64)
        self._images: set[str] = set()
        self._image, self._waiting = "", np.zeros(1 + quantities, dtype=np.int64)

    @property
    def samples(self) -> int:
        """How many samples were added."""
        return int(self.total[0])

    def update(self, image: str, quantities: Wholes) -> None:
        """Add the quantities (Q,) of one sample of `image`."""
        if image != self._image:
            self._weigh()
            self._image = image
        self.total[0] += 1
        self.total[1:] += quantities
        self._waiting[0] += 1
        self._waiting[1:] += quantities

    def _weigh(self) -> None:
        """Samples of one image mostly come one after the other: they are added up before they are weighted."""
        if not self._waiting[0]:
            return
        if len(self._images) < 2:
            self._images.add(self._image)
        if self._drawn.size:
            self._drawn += self._waiting[:, None] * weights(self.seed, self._image, self._drawn.shape[1])
        self._waiting[:] = 0

    def merge(self, other: ImageSums) -> None:
        """Add what others of the same seed have seen."""
        if (self.seed, self._drawn.shape) != (other.seed, other._drawn.shape):
            raise ValueError("only sums of one seed and size can be merged")
        self._weigh()
        other._weigh()
        self._images |= other._images
        self.total += other.total
        self._drawn += other._drawn

    @property
    def replicates(self) -> Wholes | None:
        """The sums (1 + Q, R) of each replicate in which any image was drawn; None below two images."""
        self._weigh()
        if len(self._images) < 2 or not self._drawn.size:
            return None
        return np.asarray(self._drawn[:, self._drawn[0] > 0])


def interval_of(drawn: Values | None) -> tuple[float, float] | None:
    """The 2.5th and 97.5th percentile of a number in all replicates that can tell it."""
    told = None if drawn is None else drawn[np.isfinite(drawn)]
    if told is None or not told.size:
        return None
    low, high = np.percentile(told, (2.5, 97.5))
    return float(low), float(high)
