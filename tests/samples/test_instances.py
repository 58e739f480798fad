from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from ldznet_cli.samples.instances import instances_of
from ldznet_cli.samples.masks import area, box
from ldznet_cli.samples.record import Instance


def test_parts_by_hand() -> None:
    mask = np.array([[1, 0, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0], [0, 0, 1, 1]], dtype=bool)
    prob = np.full((4, 4), 0.5, dtype=np.float32)
    prob[3, 2:] = 0.75, 1.0
    assert instances_of(mask, prob) == (
        Instance((0, 0, 2, 2), 2, 0.5),
        Instance((2, 3, 2, 1), 2, 0.875),
        Instance((3, 1, 1, 1), 1, 0.5),
    )
    assert instances_of(np.zeros((2, 2), dtype=bool), prob[:2, :2]) == ()


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_they_are_the_mask_s_components(mask: np.ndarray) -> None:
    prob = np.arange(mask.size, dtype=np.float32).reshape(mask.shape) / mask.size
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    parts = sorted((labels == number for number in range(1, count + 1)), key=area, reverse=True)
    expected = [(box(part), area(part), round(float(prob[part].mean()), 4)) for part in parts]
    found = [(one.box, one.area, round(one.score or 0, 4)) for one in instances_of(mask, prob)]
    assert [one[:2] for one in found] == [one[:2] for one in expected]
    assert np.allclose([one[2] for one in found], [one[2] for one in expected], atol=1e-3)
