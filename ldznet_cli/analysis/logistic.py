"""Logistic regression on soft targets, solved by Newton's method: convex, so there is one answer and no seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.floating[Any]]
Values = NDArray[np.float64]

_MOST_STEPS = 50
_TOLERANCE = 1e-8
"""Of the Newton decrement: what another step could still take off the loss, twice."""


@dataclass(frozen=True, eq=False)
class Logistic:
    """sigmoid(rows @ weights + bias), for rows as they are (the standardisation is part of the weights)."""

    weights: Values
    bias: float

    def probabilities(self, rows: Rows) -> NDArray[np.float32]:
        """(n, C) → (n,) in [0, 1]."""
        return _sigmoid(rows @ self.weights + self.bias).astype(np.float32)


def fit(rows: Rows, targets: Rows, ridge: float) -> Logistic:
    """Minimises mean cross-entropy + ridge / 2 |w|^2, with w on standardised columns and a free bias.

    `rows` (n, C), `targets` (n,) in [0, 1]. A column that never changes gets no weight.
    """
    mean, deviation = rows.mean(axis=0, dtype=np.float64), rows.std(axis=0, dtype=np.float64)
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 0)
    design = np.concatenate([(rows - mean) * scale, np.ones((len(rows), 1))], axis=1)
    penalty = np.append(np.full(rows.shape[1], ridge), 1e-12)
    found = _newton(design, np.asarray(targets, dtype=np.float64), penalty)
    weights = found[:-1] * scale
    return Logistic(weights, float(found[-1] - weights @ mean))


def _newton(design: Values, targets: Values, penalty: Values) -> Values:
    """Newton's steps, each halved until it helps."""
    at: Values = np.zeros(design.shape[1])
    for _ in range(_MOST_STEPS):
        prob = _sigmoid(design @ at)
        gradient = design.T @ (prob - targets) / len(targets) + penalty * at
        curvature = np.maximum(prob * (1 - prob), 1e-10)
        hessian = (design.T * curvature) @ design / len(targets) + np.diag(penalty)
        step = np.asarray(np.linalg.solve(hessian, gradient), dtype=np.float64)
        decrement = float(gradient @ step)
        if decrement < _TOLERANCE:
            break
        at = _shortened(design, targets, penalty, at, step, decrement)
    return at


def _shortened(
    design: Values, targets: Values, penalty: Values, at: Values, step: Values, decrement: float
) -> Values:
    before, share = _loss(design, targets, penalty, at), 1.0
    while (
        share > 1e-6 and _loss(design, targets, penalty, at - share * step) > before - share * decrement / 4
    ):
        share /= 2
    return at - share * step


def _loss(design: Values, targets: Values, penalty: Values, at: Values) -> float:
    logits = design @ at
    return float(np.mean(np.logaddexp(0, logits) - targets * logits) + 0.5 * (penalty * at) @ at)


def _sigmoid(logits: Values) -> Values:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)))
