"""Simpson's rule over unevenly spaced points, as SciPy has it (scipy.integrate.simpson since 1.11).

Written out here because the rest of `evaluate` needs no SciPy, whose import takes longer than scoring 500 samples.
"""

from __future__ import annotations

from collections.abc import Sequence


def simpson(y: Sequence[float], x: Sequence[float]) -> float:
    """The integral of y over the rising x: a parabola through each three points, two intervals at a time.

    Where the last interval is left over (an even number of points) it takes the parabola through the last three
    (Cartwright's correction); two points make a trapezoid, fewer no area. Points with one x have no parabola through
    them: terms that would divide by zero are left out, as SciPy leaves them out.
    """
    count = len(x)
    if count == 2:
        return (x[1] - x[0]) * (y[0] + y[1]) / 2
    paired = count - 1 if count % 2 else count - 2
    area = sum((_two_intervals(x[i : i + 3], y[i : i + 3]) for i in range(0, paired, 2)), 0.0)
    return area if count % 2 or not count else area + _last_interval(x[-3:], y[-3:])


def _two_intervals(x: Sequence[float], y: Sequence[float]) -> float:
    h0, h1 = x[1] - x[0], x[2] - x[1]
    both, ratio = h0 + h1, _divided(h0, h1)
    weights = (2 - _divided(1, ratio), _divided(both * both, h0 * h1), 2 - ratio)
    return both / 6 * sum(w * value for w, value in zip(weights, y, strict=True))


def _last_interval(x: Sequence[float], y: Sequence[float]) -> float:
    h0, h1 = x[1] - x[0], x[2] - x[1]
    last = _divided(2 * h1**2 + 3 * h0 * h1, 6 * (h0 + h1))
    middle = _divided(h1**2 + 3 * h0 * h1, 6 * h0)
    first = _divided(h1**3, 6 * h0 * (h0 + h1))
    return last * y[2] + middle * y[1] - first * y[0]


def _divided(a: float, b: float) -> float:
    return a / b if b else 0.0
