"""95 % intervals by bootstrap over images: phrases of one image are not independent, so whole images are redrawn."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from math import exp, factorial

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

REPLICATES = 1000
_MOST = 12  # an image drawn more often than this: 1 in 16 billion
_CUMULATIVE = np.cumsum([exp(-1) / factorial(k) for k in range(_MOST + 1)])


@lru_cache(maxsize=8)
def weights(seed: int, image: str, replicates: int = REPLICATES) -> Values:
    """How often `image` is drawn in each replicate: independent Poisson numbers of mean 1, a function of the arguments.

    (The Poisson bootstrap: for many images as good as drawing n of n, and it needs to know neither n nor the order. The
    same image has the same weights in every run of one seed, so two runs can be compared in pairs.)
    """
    digest = hashlib.sha256(f"ldznet.bootstrap|{seed}|{image}".encode()).digest()
    key = np.frombuffer(digest[:16], dtype="<u8").astype(np.uint64)
    uniform = np.random.Generator(np.random.Philox(key=key)).random(replicates)
    drawn = np.searchsorted(_CUMULATIVE, uniform, side="right").astype(np.float64)
    drawn.setflags(write=False)
    return drawn


class ImageBootstrap:
    """Weighted sums of a few quantities a sample, one sum a replicate: constant memory, order does not matter.

    update, merge, interval.
    """

    def __init__(self, quantities: int, seed: int = 0, replicates: int = REPLICATES) -> None:
        self.seed = seed
        self._images: set[str] = set()
        self._sums = np.zeros((quantities, replicates))

    def update(self, image: str, quantities: Values) -> None:
        """Add the quantities (Q,) of one sample of `image`."""
        if len(self._images) < 2:
            self._images.add(image)
        self._sums += quantities[:, None] * weights(self.seed, image, self._sums.shape[1])

    def merge(self, other: ImageBootstrap) -> None:
        """Add what another bootstrap of the same seed has seen."""
        if (self.seed, self._sums.shape) != (other.seed, other._sums.shape):
            raise ValueError("only bootstraps of one seed and size can be merged")
        self._images |= other._images
        self._sums += other._sums

    def interval(self, statistic: Callable[[Values], Values]) -> tuple[float, float] | None:
        """The 2.5th and 97.5th percentile of `statistic` of the sums (Q, replicates); None below two images."""
        if len(self._images) < 2:
            return None
        drawn = self._sums[:, self._sums.any(axis=0)]  # a replicate that drew no image says nothing
        low, high = np.percentile(statistic(drawn), (2.5, 97.5))
        return float(low), float(high)
