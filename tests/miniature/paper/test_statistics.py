"""Means and differences over seeds and images."""

import numpy as np
import pytest
from scipy import stats

from ldznet_cli.miniature.paper.cells import interval
from ldznet_cli.miniature.paper.results import Result
from ldznet_cli.miniature.paper.statistics import difference, mean

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(0, 0.05, 400)  # what redrawing the images does to every run alike


def runs(*values: float, own: float = 0.0) -> list[Result]:
    """Runs of one net whose replicates share the images' redrawing, and have `own` noise beside it."""
    return [
        Result(
            "net", {}, 1, {}, {"n": value}, {},
            {"n": np.clip(value + IMAGES + own * RNG.normal(size=400), 0, 1)},
        )
        for value in values
    ]  # fmt: skip


def test_the_mean_is_of_the_seeds_and_its_interval_holds_both_kinds_of_chance() -> None:
    one, five = mean(runs(0.5), "n"), mean(runs(0.4, 0.45, 0.5, 0.55, 0.6), "n")
    assert (one.value, one.seeds) == (0.5, 1)
    assert (five.value, five.seeds) == (pytest.approx(0.5), 5)
    assert one.high - one.low == pytest.approx(4 * 0.05, rel=0.15)
    # the variance of the images' part and of the mean of five redrawn seeds
    width = 4 * np.hypot(0.05, np.std([0.4, 0.45, 0.5, 0.55, 0.6]) / np.sqrt(5))
    assert five.high - five.low == pytest.approx(width, rel=0.15)


def test_a_difference_is_paired_in_images() -> None:
    found = difference(runs(0.55), runs(0.5), "n")
    assert found.value == pytest.approx(0.05)
    assert found.high - found.low < 1e-3 < mean(runs(0.5), "n").high - mean(runs(0.5), "n").low
    assert found.excludes_zero
    assert not difference(runs(0.501, own=0.05), runs(0.5, own=0.05), "n").excludes_zero


def test_p_is_welchs_over_seeds() -> None:
    some, others = (0.5, 0.55, 0.52), (0.4, 0.49, 0.47, 0.43)
    a, b = (
        [
            Result(f"{net}{seed}", {}, 1, {}, {"n": value, "m": value - seed / 50})
            for seed, value in enumerate(values)
        ]
        for net, values in (("a", some), ("b", others))
    )
    assert difference(a, b, "n").p == pytest.approx(stats.ttest_ind(some, others, equal_var=False).pvalue)
    paired = stats.ttest_1samp([0, 1 / 50, 2 / 50], 0).pvalue
    assert difference(a, a, "n", "m").p == pytest.approx(paired)
    assert difference(a[:1], b, "n").p is None
    assert difference(a, a, "n").p is None
    assert mean(a, "n").p is None


def test_the_same_runs_give_the_same_interval() -> None:
    some = runs(0.4, 0.5)
    assert mean(some, "n") == mean(some, "n")


def test_one_image_alone_has_no_interval() -> None:
    alone = [Result("net", {}, 1, {}, {"n": 0.5}, {}, {})]
    found = mean(alone, "n")
    assert found.value == 0.5
    assert np.isnan([found.low, found.high]).all()
    assert not difference(alone, runs(0.4), "n").excludes_zero
    assert interval(found) == "50.0"
