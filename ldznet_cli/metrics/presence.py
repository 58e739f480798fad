"""Whether a phrase is in the image at all, as one number of its probability map."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOP_SHARE = 0.01
"""The presence score is the mean of this share of the probabilities, the highest ones."""


def presence(prob: NDArray[np.floating[Any]]) -> float:
    """The mean of the top 1 % of the probabilities, at least of one, to six decimals."""
    count = ceil(TOP_SHARE * prob.size)
    top = np.partition(prob.ravel(), prob.size - count)[prob.size - count :]
    return round(float(top.astype(np.float64).mean()), 6)
