"""Bootstrap over images: deterministic, whatever the order, and as wide as the textbook's."""

from __future__ import annotations

import numpy as np
import pytest

from ldznet_cli.metrics import ImageBootstrap
from ldznet_cli.metrics.intervals import Values, weights


def mean(sums: Values) -> Values:
    return sums[1] / sums[0]


def filled(values: dict[str, list[float]], seed: int = 0) -> ImageBootstrap:
    bootstrap = ImageBootstrap(2, seed)
    for image, numbers in values.items():
        for number in numbers:
            bootstrap.update(image, np.array([1.0, number]))
    return bootstrap


def test_weights_are_a_function_of_seed_and_image() -> None:
    first = weights(0, "a.png", 200).copy()
    weights.cache_clear()
    np.testing.assert_array_equal(weights(0, "a.png", 200), first)
    assert (weights(1, "a.png", 200) != first).any()
    assert (weights(0, "b.png", 200) != first).any()


def test_these_weights_stay_what_they_are() -> None:
    """A promise: reports of one seed can be compared in pairs, also between machines and versions."""
    assert weights(0, "a.png", 12).astype(int).tolist() == WEIGHTS


def test_weights_are_poisson_of_mean_one() -> None:
    drawn = np.concatenate([weights(3, str(i), 1000) for i in range(200)])
    assert drawn.mean() == pytest.approx(1, abs=0.01)
    assert drawn.var() == pytest.approx(1, abs=0.02)
    assert (drawn == 0).mean() == pytest.approx(np.exp(-1), abs=0.005)


def test_as_wide_as_the_textbook_has_it() -> None:
    random = np.random.default_rng(0)
    values = random.random(300)
    low, high = filled({str(i): [v] for i, v in enumerate(values)}).interval(mean) or (0, 0)
    resampled = values[random.integers(0, 300, (4000, 300))].mean(axis=1)
    np.testing.assert_allclose([low, high], np.percentile(resampled, [2.5, 97.5]), atol=0.006)


def test_phrases_of_one_image_are_drawn_together() -> None:
    """Ten copies of each value say nothing new when they are one image's, and narrow the interval when they are not."""
    values = np.random.default_rng(1).random(40)
    together = filled({str(i): [v] * 10 for i, v in enumerate(values)}).interval(mean)
    apart = filled({f"{i}-{k}": [v] for i, v in enumerate(values) for k in range(10)}).interval(mean)
    single = filled({str(i): [v] for i, v in enumerate(values)}).interval(mean)
    assert together is not None
    assert apart is not None
    assert together == pytest.approx(single)
    assert apart[1] - apart[0] < 0.5 * (together[1] - together[0])


def test_one_image_has_no_interval() -> None:
    assert filled({"a": [0.1, 0.9]}).interval(mean) is None


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert filled({"a": [0.5], "b": [0.5]}).interval(mean) == pytest.approx((0.5, 0.5))


def test_merged_is_together_in_any_order() -> None:
    values = {str(i): [v] for i, v in enumerate(np.random.default_rng(2).random(20))}
    names = list(values)
    one, two = filled({n: values[n] for n in names[:7]}), filled({n: values[n] for n in names[7:]})
    two.merge(one)
    assert two.interval(mean) == pytest.approx(filled(values).interval(mean))


def test_only_one_seed_can_be_merged() -> None:
    with pytest.raises(ValueError, match="one seed"):
        ImageBootstrap(2, 0).merge(ImageBootstrap(2, 1))


WEIGHTS = [1, 0, 1, 2, 0, 1, 2, 1, 0, 2, 1, 0]
