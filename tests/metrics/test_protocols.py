"""Each protocol against its slow double, and what holds for all: bounds, merging, splitting, constant memory."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ldznet_cli.errors import AnnotationError
from ldznet_cli.metrics import ClipSeg, Native, PhraseCut, Prediction, RefCoco, Scorer, Truth
from ldznet_cli.metrics.protocol import Number
from tests.metrics import slow
from tests.metrics.cases import GUESS, HALF, SIDE, cases, prediction_of, random_case, truth_of
from tests.metrics.slow import Case

NEW: dict[str, Callable[[], Scorer]] = {  # type: ignore[type-arg]
    "clipseg": lambda: ClipSeg(SIDE, exact_ap=True, ap_interval=True),
    "native": Native,
    "phrasecut": PhraseCut,
    "refcoco": lambda: RefCoco(SIDE),
}
OWN = (0.3, 0.5, 0.62)
"""The predictions' own thresholds, in turn."""


def fill(scorer: Scorer, group: Sequence[Case], start: int = 0) -> Scorer:  # type: ignore[type-arg]
    for place, case in enumerate(group, start):
        scorer.update(truth_of(case), prediction_of(case, OWN[place % 3]))
    return scorer


def values(numbers: Sequence[Number]) -> dict[tuple[str, str], float | None]:
    return {(number.metric, number.threshold): number.value for number in numbers}


def expected(name: str, group: Sequence[Case]) -> dict[tuple[str, str], float]:
    own = [OWN[place % 3] for place in range(len(group))]
    if name == "clipseg":
        return slow.clipseg(group, SIDE)
    if name == "refcoco":
        return slow.refcoco(group, SIDE)
    return slow.native(group, own) if name == "native" else slow.phrasecut(group, own)


@pytest.mark.parametrize("name", NEW)
@settings(max_examples=30)
@given(data=st.data())
def test_the_slow_double_agrees(name: str, data: st.DataObject) -> None:
    """Without resizing of maps: between two libraries that may differ in the last bit, which matters on a threshold."""
    group = data.draw(cases(square=name in ("clipseg", "refcoco")))
    found = values(fill(NEW[name](), group).compute())
    wanted = expected(name, group)
    for key, value in found.items():
        if key in wanted:
            assert value == pytest.approx(wanted[key], abs=1e-9), key
        elif key != ("AP_exact", "every score"):
            assert value is None, key
    # Whatever the double finds is there, but for the thresholds of its sweep that nobody quotes.
    unquoted = {key for key in wanted if key not in found}
    assert all(name == "native" and key[1] not in ("own", "0.5", "best", "every score") for key in unquoted)


@pytest.mark.parametrize("name", ["clipseg", "refcoco"])
@pytest.mark.parametrize(("shape", "grid"), [((37, 50), (12, 16)), ((5, 9), (20, 20)), ((3, 64), (1, 1))])
def test_the_slow_double_agrees_on_maps_of_another_size(
    name: str, shape: tuple[int, int], grid: tuple[int, int]
) -> None:
    """Random maps: none of their resized values stands within rounding of a threshold."""
    group = []
    for seed in range(3):
        case = random_case(seed, shape)
        prob = np.random.default_rng(seed).random(grid, dtype=np.float32)
        group.append(Case(case.mask, prob, case.ignore))
    found, wanted = values(fill(NEW[name](), group).compute()), expected(name, group)
    assert {key: found[key] for key in wanted} == pytest.approx(wanted)


@pytest.mark.parametrize("name", NEW)
@settings(max_examples=25)
@given(group=cases(8), data=st.data())
def test_split_and_merged_in_any_order_is_together(name: str, group: list[Case], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(group)))
    left, right = fill(NEW[name](), group[:cut]), fill(NEW[name](), group[cut:], start=cut)
    if data.draw(st.booleans()):
        left, right = right, left
    left.merge(right)
    whole = fill(NEW[name](), group)
    assert left.samples == whole.samples == len(group)
    # To the last bit: several processes give the digits of one.
    assert left.compute() == whole.compute()
    assert [n.interval for n in left.compute()] == [n.interval for n in whole.compute()]
    assert left.curves() == whole.curves()


@pytest.mark.parametrize("name", NEW)
@settings(max_examples=25)
@given(group=cases())
def test_bounds(name: str, group: list[Case]) -> None:
    numbers = fill(NEW[name](), group).compute()
    # Simpson's parabolas between 49 points can rise above the curve: that AP alone is not bounded by 1.
    for number in numbers if name != "clipseg" else [n for n in numbers if n.metric != "AP"]:
        assert number.value is None or 0 <= number.value <= 1
        if number.interval is not None:
            assert 0 <= number.interval[0] <= number.interval[1] <= 1
    curve = {n.threshold: n.value for n in numbers if n.metric == "mIoU"}
    assert all(
        curve.get("best") is None or curve["best"] >= (value or 0)
        for rule, value in curve.items()
        if rule not in ("own", "best")
    )


@pytest.mark.parametrize("name", ["native", "phrasecut", "refcoco"])
@given(st.integers(0, 2**32 - 1))
def test_iou_is_symmetric(name: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    one, two = (random.random((2, 6, 5)) < random.random()).astype(bool)
    ahead, back = NEW[name](), NEW[name]()
    ahead.update(Truth(one), Prediction(mask=two))
    back.update(Truth(two), Prediction(mask=one))
    metric = "mean_IoU" if name == "phrasecut" else "mIoU"
    found = [next(n.value for n in scorer.compute() if n.metric == metric) for scorer in (ahead, back)]
    assert found[0] == found[1]


@pytest.mark.parametrize("name", NEW)
def test_memory_is_constant(name: str) -> None:
    scorer = fill(NEW[name](), [random_case(seed, (6, 5)) for seed in range(4)])
    few = len(pickle.dumps(scorer))
    fill(scorer, [random_case(seed, (6, 5)) for seed in range(4, 60)])
    assert len(pickle.dumps(scorer)) <= few + 64


@pytest.mark.parametrize("name", NEW)
def test_a_mask_of_another_size_is_refused(name: str) -> None:
    with pytest.raises(AnnotationError, match="a mask of 3x4 pixels: expected the image's 4x4"):
        NEW[name]().update(Truth(HALF), Prediction(mask=HALF[:, :3]))


def test_only_one_size_can_be_merged() -> None:
    with pytest.raises(ValueError, match="two protocols"):
        ClipSeg(352).merge(ClipSeg(384))
    with pytest.raises(ValueError, match="two protocols"):
        RefCoco(480).merge(RefCoco(384))


@pytest.mark.parametrize(
    "wrong", [np.full((2, 2), 1.5), np.full((2, 2), -0.1), np.full((2, 2), np.nan), np.zeros((0, 3))]
)
def test_what_is_no_probability_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(AnnotationError, match="expected probabilities"):
        Prediction(wrong.astype(np.float32))


def test_a_prediction_is_one_of_two_things() -> None:
    for both_or_none in ((None, None), (GUESS, HALF)):
        with pytest.raises(AnnotationError, match="one of the two"):
            Prediction(*both_or_none)
