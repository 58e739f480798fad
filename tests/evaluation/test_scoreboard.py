"""Protocols and subsets side by side."""

from __future__ import annotations

import numpy as np
import pytest

from ldznet_cli.errors import AnnotationError
from ldznet_cli.evaluation import Score
from ldznet_cli.evaluation.scoreboard import Scoreboard
from ldznet_cli.metrics import Native, Prediction, Truth

RANDOM = np.random.default_rng(0)
TRUTHS = [Truth(RANDOM.random((8, 8)) < 0.5, image=str(number)) for number in range(30)]
PREDICTIONS = [Prediction(RANDOM.random((8, 8), dtype=np.float32)) for _ in TRUTHS]


def scores_of(made: Scoreboard) -> list[Score]:
    return [result.score for result in made.results("digest")]


def board(seed: int = 0, *, names: tuple[str, ...] = ("native",)) -> list[Score]:
    """Every third sample is a thing, the other ones are stuff; all are photos."""
    made = Scoreboard(names, size=16, seed=seed)
    for place, (truth, prediction) in enumerate(zip(TRUTHS, PREDICTIONS, strict=True)):
        subsets = ("all", "kind:stuff" if place % 3 else "kind:thing", "style:photo")
        made.score(truth, prediction, subsets, missing=place == 4)
    return scores_of(made)


def test_a_subset_is_scored_as_if_it_were_all() -> None:
    scorer = Native()
    for truth, prediction in zip(TRUTHS[::3], PREDICTIONS[::3], strict=True):
        scorer.update(truth, prediction)
    things = [score for score in board() if score.subset == "kind:thing"]
    assert [(s.metric, s.threshold, s.value, s.interval) for s in things] == [
        (n.metric, n.threshold, n.value, n.interval) for n in scorer.compute()
    ]
    assert {(score.samples, score.missing) for score in things} == {(10, 0)}
    assert {(s.samples, s.missing) for s in board() if s.subset == "kind:stuff"} == {(20, 1)}


def test_a_subset_that_is_everything_is_not_told() -> None:
    assert {score.subset for score in board()} == {"all", "kind:thing", "kind:stuff"}


def test_protocols_once_and_in_their_order() -> None:
    scores = board(names=("native", "clipseg", "native"))
    assert list(dict.fromkeys(score.protocol for score in scores)) == ["native", "clipseg"]


def test_intervals_follow_the_seed() -> None:
    one, again, other = ([score.interval for score in board(seed)] for seed in (0, 0, 1))
    assert one == again
    assert one != other


def test_a_prediction_that_does_not_fit_leaves_no_trace() -> None:
    """It is refused by the last protocol's measure before the first has added anything."""
    made = Scoreboard(("clipseg", "native"), size=16)
    made.score(TRUTHS[0], PREDICTIONS[0], ("all",))
    before = scores_of(made)
    with pytest.raises(AnnotationError):
        made.score(TRUTHS[1], Prediction(mask=np.ones((3, 3), dtype=bool)), ("all",))
    assert scores_of(made) == before
