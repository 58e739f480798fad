"""Samples to score: random ones, hypothesis' ones, and the 4x4 one that the hand-worked numbers are about."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from ldznet_cli.metrics import Prediction, Truth
from tests.metrics.slow import Case

HALF = np.repeat([[True, True, False, False]], 4, axis=0)
"""The left half of 4x4."""

GUESS = np.array(
    [[0.9, 0.4, 0.4, 0.0], [0.9, 0.4, 0.4, 0.0], [0.9, 0.0, 0.0, 0.0], [0.9, 0.0, 0.0, 0.0]], dtype=np.float32
)
"""At 0.3: 6 of the half's 8 pixels and 2 others. At 0.5: 4 of them and no other. Above 0.9: none."""


def random_case(seed: int, shape: tuple[int, int]) -> Case:
    """Probabilities that know something of the mask; many stand on thresholds, on 0 and on 1."""
    random = np.random.default_rng(seed)
    mask = random.random(shape) < random.choice([0.0, 0.1, 0.5])
    raw = np.clip(mask * 0.5 + random.random(shape) * 0.8 - 0.1, 0, 1)
    quantised = np.where(random.random(raw.shape) < 0.5, np.rint(raw * 50) / 50, np.rint(raw * 65535) / 65535)
    ignore = (random.random(shape) < 0.1) & bool(random.integers(2))
    return Case(mask, quantised.astype(np.float32), ignore, image=f"{random.integers(4)}.png")


SIDE = 6


def cases(maximum: int = 6, *, square: bool = False) -> st.SearchStrategy[list[Case]]:
    """Lists of small cases, all with maps of the image's size; that is SIDE x SIDE for `square` ones."""
    side = st.just(SIDE) if square else st.integers(1, 7)
    sizes = st.tuples(side, side)
    one = st.builds(random_case, st.integers(0, 2**32 - 1), sizes)
    return st.lists(one, min_size=1, max_size=maximum)


def truth_of(case: Case) -> Truth:
    return Truth(case.mask, ignore=case.ignore, image=case.image)


def prediction_of(case: Case, threshold: float = 0.5) -> Prediction:
    return Prediction(case.prob, threshold=threshold)
