"""Bootstrap over images: deterministic, whatever the order, and as wide as the textbook's."""

from __future__ import annotations

import numpy as np
import pytest

from ldznet_cli.metrics import interval_of
from ldznet_cli.metrics.intervals import UNIT, ImageSums, in_units, weights


def filled(values: dict[str, list[float]], seed: int = 0) -> ImageSums:
    sums = ImageSums(1, seed)
    for image, numbers in values.items():
        for number in numbers:
            sums.update(image, in_units([number]))
    return sums


def interval(sums: ImageSums) -> tuple[float, float] | None:
    """Of the mean."""
    drawn = sums.replicates
    return None if drawn is None else interval_of(drawn[1] / (UNIT * drawn[0]))


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
    low, high = interval(filled({str(i): [v] for i, v in enumerate(values)})) or (0, 0)
    resampled = values[random.integers(0, 300, (4000, 300))].mean(axis=1)
    np.testing.assert_allclose([low, high], np.percentile(resampled, [2.5, 97.5]), atol=0.006)


def test_phrases_of_one_image_are_drawn_together() -> None:
    """Ten copies of each value say nothing new when they are one image's, and narrow the interval when they are not."""
    values = np.random.default_rng(1).random(40)
    together = interval(filled({str(i): [v] * 10 for i, v in enumerate(values)}))
    apart = interval(filled({f"{i}-{k}": [v] for i, v in enumerate(values) for k in range(10)}))
    single = interval(filled({str(i): [v] for i, v in enumerate(values)}))
    assert together is not None
    assert apart is not None
    assert together == pytest.approx(single)
    assert apart[1] - apart[0] < 0.5 * (together[1] - together[0])


def test_one_image_has_no_interval() -> None:
    assert interval(filled({"a": [0.1, 0.9]})) is None


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert interval(filled({"a": [0.5], "b": [0.5]})) == pytest.approx((0.5, 0.5))


def test_merged_is_together_to_the_last_bit() -> None:
    """In any order, and however the samples of an image are spread."""
    values = {str(i): list(v) for i, v in enumerate(np.random.default_rng(2).random((20, 3)))}
    whole = filled(values)
    one, two = (
        filled({n: v[:2] for n, v in values.items()}),
        filled({n: v[2:] for n, v in reversed(values.items())}),
    )
    two.merge(one)
    assert two.samples == whole.samples == 60
    np.testing.assert_array_equal(two.total, whole.total)
    np.testing.assert_array_equal(two.replicates, whole.replicates)


def test_a_replicate_that_cannot_tell_is_left_out() -> None:
    assert interval_of(np.array([np.nan, 0.25, 0.25])) == (0.25, 0.25)
    assert interval_of(np.array([np.nan])) is None
    assert interval_of(None) is None


def test_only_one_seed_can_be_merged() -> None:
    with pytest.raises(ValueError, match="one seed"):
        ImageSums(2, 0).merge(ImageSums(2, 1))


WEIGHTS = [1, 0, 1, 2, 0, 1, 2, 1, 0, 2, 1, 0]
