from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ldznet_cli.inference.decision import decide, presence
from ldznet_cli.samples.geometry import to_image_size
from ldznet_cli.samples.masks import read_prob, write_prob

maps = arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.floats(0, 1, width=32))


def test_the_mask_is_strictly_above_the_threshold() -> None:
    prob = np.array([[0.0, 0.5], [0.5, 1.0]], dtype=np.float32)
    decision = decide(prob, 2, 2, float(np.float32(round(0.5 * 65535) / 65535)))
    assert decision.mask.tolist() == [[False, False], [False, True]]


def test_one_position_says_one_thing_about_the_whole_image() -> None:
    decision = decide(np.array([[0.7]], dtype=np.float32), 5, 3, 0.5)
    assert decision.mask.shape == (3, 5)
    assert decision.mask.all()
    assert decision.score == pytest.approx(0.7, abs=1e-5)


@given(maps, st.integers(1, 30), st.integers(1, 30), st.floats(0, 1))
def test_who_reads_the_stored_probabilities_comes_to_the_same_mask(
    tmp_path_factory: pytest.TempPathFactory, prob: np.ndarray, width: int, height: int, threshold: float
) -> None:
    decision = decide(prob, width, height, threshold)
    path: Path = tmp_path_factory.getbasetemp() / "decision.png"
    write_prob(path, decision.prob)
    stored = read_prob(path)
    assert np.array_equal(stored, decision.prob)
    assert np.array_equal(to_image_size(stored, width, height) > threshold, decision.mask)
    assert np.abs(decision.prob - prob).max() <= 0.51 / 65535


def test_presence_is_the_mean_of_the_top_hundredth() -> None:
    prob = np.zeros(200, dtype=np.float32)
    prob[[5, 77]] = 0.9, 0.5
    assert presence(prob.reshape(10, 20)) == pytest.approx(0.7)
    assert presence(np.array([[0.25, 0.5]], dtype=np.float32)) == 0.5


@given(maps)
def test_presence_lies_between_mean_and_maximum(prob: np.ndarray) -> None:
    assert prob.mean() - 1e-5 <= presence(prob) <= prob.max() + 1e-5
