from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from ldznet_cli.errors import ImageError
from ldznet_cli.samples.masks import (
    area,
    box,
    read_mask,
    read_prob,
    resize_mask,
    union,
    write_mask,
    write_prob,
)

masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12))


def mask_of(*rows: str) -> np.ndarray:
    return np.array([[letter == "#" for letter in row] for row in rows])


def test_box_and_area_by_hand() -> None:
    mask = mask_of("....", ".##.", "..#.", "....")
    assert area(mask) == 3
    assert box(mask) == (1, 1, 2, 2)
    assert box(mask_of("....")) is None


@given(masks)
def test_the_box_is_tight(mask: np.ndarray) -> None:
    found = box(mask)
    if found is None:
        assert not mask.any()
        return
    x, y, width, height = found
    inside = mask[y : y + height, x : x + width]
    assert inside.sum() == mask.sum()
    assert inside[0].any()
    assert inside[-1].any()
    assert inside[:, 0].any()
    assert inside[:, -1].any()


def test_union() -> None:
    joined = union([mask_of("#..", "..."), mask_of("#.#", "...")], 3, 2)
    assert joined.tolist() == mask_of("#.#", "...").tolist()
    assert not union([], 3, 2).any()


def test_resize_is_aligned() -> None:
    mask = np.zeros((4, 8), dtype=bool)
    mask[:, 4:] = True
    assert resize_mask(mask, 4, 2).tolist() == mask_of("..##", "..##").tolist()
    assert resize_mask(mask, 8, 4).tolist() == mask.tolist()
    assert resize_mask(mask, 16, 8)[:, 8:].all()
    assert resize_mask(mask_of("#."), 1, 1).all()  # half covered
    assert not resize_mask(mask_of("#.."), 1, 1).any()


@given(mask=masks)
def test_mask_files_round_trip(tmp_path_factory: pytest.TempPathFactory, mask: np.ndarray) -> None:
    path = tmp_path_factory.getbasetemp() / "mask.png"
    write_mask(path, mask)
    with Image.open(path) as image:
        assert image.mode == "L"
        assert set(np.unique(image)) <= {0, 255}
    np.testing.assert_array_equal(read_mask(path), mask)


@given(prob=arrays(np.float32, (5, 7), elements=st.floats(0, 1, width=32)))
def test_prob_files_round_trip_within_half_a_step(
    tmp_path_factory: pytest.TempPathFactory, prob: np.ndarray
) -> None:
    path = tmp_path_factory.getbasetemp() / "prob.png"
    write_prob(path, prob)
    with Image.open(path) as image:
        assert image.mode.startswith("I")
        np.testing.assert_array_equal(np.asarray(image), np.rint(prob.astype(np.float64) * 65535))
    found = read_prob(path)
    assert found.dtype == np.float32
    assert np.abs(found - prob).max() <= 0.5 / 65535 + 1e-7
    write_prob(path, found)
    np.testing.assert_array_equal(read_prob(path), found)


def test_masks_of_other_tools(tmp_path: Path) -> None:
    mask = mask_of(".#", "##")
    path = tmp_path / "x.png"
    for pixels in (mask.astype(np.uint8), mask * np.uint8(200), mask.astype(np.uint16) * 60000):
        Image.fromarray(pixels).save(path)
        np.testing.assert_array_equal(read_mask(path), mask)
    Image.fromarray(mask).save(path)
    np.testing.assert_array_equal(read_mask(path), mask)
    palette = Image.fromarray(mask.astype(np.uint8) * 3).convert("P")
    palette.putpalette([9, 9, 9, 8, 8, 8, 7, 7, 7, 0, 0, 0])
    palette.save(path)
    np.testing.assert_array_equal(read_mask(path), mask)
    Image.fromarray(mask * np.uint8(90)).save(path)
    assert not read_mask(path).any()


def test_a_colour_picture_holds_no_probabilities(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "x.png")
    with pytest.raises(ImageError, match="expected probabilities as 16-bit grey"):
        read_prob(tmp_path / "x.png")
    with pytest.raises(ImageError, match="does not exist"):
        read_prob(tmp_path / "y.png")
