"""Resizing equals the library's whose convention a protocol prescribes."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ldznet_cli.metrics.resampling import bilinear_corners, nearest_centre, nearest_floor

SIDES = st.integers(1, 60)


def torch_resized(array: np.ndarray, width: int, height: int, **how: object) -> np.ndarray:
    tensor = torch.from_numpy(array)[None, None]
    return torch.nn.functional.interpolate(tensor, (height, width), **how)[0, 0].numpy()  # type: ignore[arg-type]


@given(SIDES, SIDES, SIDES, SIDES, st.integers(0, 99))
def test_as_pytorch_and_pillow_have_them(h: int, w: int, height: int, width: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    mask, prob = random.random((h, w)) < 0.5, random.random((h, w), dtype=np.float32)
    bytes_ = mask.astype(np.uint8)
    np.testing.assert_array_equal(
        nearest_floor(mask, width, height), torch_resized(bytes_, width, height, mode="nearest") > 0
    )
    np.testing.assert_array_equal(
        nearest_centre(mask, width, height),
        np.asarray(Image.fromarray(bytes_).resize((width, height), Image.Resampling.NEAREST)) > 0,
    )
    expected = torch_resized(prob, width, height, mode="bilinear", align_corners=True)
    found = bilinear_corners(prob, width, height)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=2.4e-7)  # two units in the last place


def test_nearest_for_every_image_side_and_the_papers_squares() -> None:
    """The rounding of the float32 scale decides here: checked for all sides up to 1400."""
    for side in (352, 384, 480):
        for source in range(1, 1400):
            ramp = torch.arange(source, dtype=torch.float32)
            expected = torch.nn.functional.interpolate(ramp[None, None], side, mode="nearest")[0, 0].numpy()
            found = nearest_floor(np.arange(source)[None], side, 1)[0]  # type: ignore[arg-type]
            np.testing.assert_array_equal(found, expected, err_msg=f"{source} to {side}")


def test_the_two_nearests_differ() -> None:
    """4 to 2: PyTorch takes pixels 0 and 2, Pillow 1 and 3."""
    row = np.array([[True, False, True, False]])
    assert nearest_floor(row, 2, 1).tolist() == [[True, True]]
    assert nearest_centre(row, 2, 1).tolist() == [[False, False]]


def test_corners_stay_in_the_corners() -> None:
    """2 to 5 with aligned corners: quarter steps, the ends themselves."""
    row = np.array([[0.0, 1.0]], dtype=np.float32)
    assert bilinear_corners(row, 5, 1).tolist() == [[0.0, 0.25, 0.5, 0.75, 1.0]]


def test_the_same_size_is_the_same_map() -> None:
    prob = np.random.default_rng(0).random((5, 7), dtype=np.float32)
    np.testing.assert_array_equal(bilinear_corners(prob, 7, 5), prob)
