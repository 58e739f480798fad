from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ldznet_cli.errors import UsageError
from ldznet_cli.samples.geometry import Geometry, to_image_size, to_pixels, to_tensor

SIZES = [(640, 480), (640, 427), (427, 640), (500, 375), (1000, 333), (333, 1000), (1920, 1080), (97, 101)]


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([256, 384, 512]))
def test_aligned_keeps_its_promises(width: int, height: int, size: int) -> None:
    w, h = Geometry("aligned", size).network_size(width, height)
    assert w % 8 == h % 8 == 0
    assert min(w, h) >= 64
    assert 0.8 <= w * h / size**2 <= 1.2
    ratio = (w / h) / (width / height)
    if max(width, height) / min(width, height) < 19:
        assert 1 / 1.02 <= ratio <= 1.02


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([64, 128, 192]))
def test_of_small_sizes_the_area_holds(width: int, height: int, size: int) -> None:
    w, h = Geometry("aligned", size).network_size(width, height)
    assert min(w, h) >= 64
    assert 0.8 <= w * h / size**2 <= 1.2
    if size == 128 and max(width, height) / min(width, height) < 4.7:
        assert max(w / h * height / width, h / w * width / height) < 1.029


@pytest.mark.parametrize("size", [64, 128, 384, 512])
def test_square_images_are_not_changed(size: int) -> None:
    for kind in ("aligned", "square"):
        assert Geometry(kind, size).network_size(size, size) == (size, size)
        assert Geometry(kind, size).network_size(7, 7) == (size, size)


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_a_turned_image_has_the_turned_grid(width: int, height: int) -> None:
    w, h = Geometry().network_size(width, height)
    assert Geometry().network_size(height, width) == (h, w)


def test_official_is_the_authors_floor_to_64() -> None:
    official = Geometry("official")
    assert official.network_size(640, 480) == (384, 320)
    assert official.network_size(640, 427) == (448, 256)
    assert official.network_size(500, 500) == (384, 384)
    assert official.network_size(10, 4000) == (64, 7552)


def test_square_squashes() -> None:
    assert Geometry("square", 352).network_size(640, 480) == (352, 352)


@pytest.mark.parametrize("size", [0, 63, 100, 5000, -8])
def test_impossible_sizes_are_refused(size: int) -> None:
    with pytest.raises(UsageError, match="multiple of 8"):
        Geometry("aligned", size)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UsageError, match="expected one of aligned, square, official"):
        Geometry("cropped")  # type: ignore[arg-type]


def test_pixels_are_in_minus_one_to_one() -> None:
    image = Image.new("RGB", (128, 128), (0, 255, 51))
    pixels = to_pixels(image, Geometry("aligned", 128))
    assert pixels.shape == (3, 128, 128)
    assert pixels.dtype == np.float32
    np.testing.assert_allclose(pixels[:, 5, 9], [-1, 1, -0.6], atol=1e-6)
    assert tuple(to_tensor(image, Geometry("aligned", 128)).shape) == (1, 3, 128, 128)


def test_an_image_of_the_grids_size_is_untouched() -> None:
    values = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    pixels = to_pixels(Image.fromarray(values), Geometry("aligned", 128))
    np.testing.assert_array_equal(np.rint((pixels + 1) * 127.5).transpose(1, 2, 0), values)


@pytest.mark.parametrize("kind", ["aligned", "square", "official"])
@pytest.mark.parametrize(("width", "height"), [(640, 480), (1000, 333), (500, 700)])
def test_a_ramp_comes_back_exactly(kind: str, width: int, height: int) -> None:
    """x_image = (x_grid + 0.5) * W / w - 0.5: a map that holds x_image at each grid position gives x at each pixel."""
    w, h = Geometry(kind).network_size(width, height)  # type: ignore[arg-type]
    x = ((np.arange(w) + 0.5) * width / w - 0.5).astype(np.float32)
    y = ((np.arange(h) + 0.5) * height / h - 0.5).astype(np.float32)
    across = to_image_size(np.tile(x, (h, 1)), width, height)
    down = to_image_size(np.tile(y[:, None], (1, w)), width, height)
    inside = slice(4, -4)
    for found, count in ((across[0], width), (down[:, 0], height)):
        offset = (found - np.arange(count))[inside]
        assert abs(offset.mean()) < 1e-3
        assert np.abs(offset).max() < (
            0.1 if count < max(w, h) else 0.02
        )  # smaller than the grid: wider triangles


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("size", [128, 384])
def test_a_thin_diagonal_comes_back_where_it_was(width: int, height: int, size: int) -> None:
    """Image → grid → image of a line of slope height/width: at each row, its centre of mass is the line itself."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    middle = (y + 0.5) * width / height - 0.5
    thick = 2 * max(width, height) / size
    line = np.clip(1.5 * thick - np.abs(x - middle), 0, 1)
    image = Image.fromarray(np.rint(line * 255).astype(np.uint8)).convert("RGB")
    prob = np.clip((to_pixels(image, Geometry("aligned", size))[0] + 1) / 2, 0, 1)
    back = to_image_size(prob, width, height)
    assert back.shape == (height, width)
    rows = slice(height // 8, -(height // 8))
    centre = (back * x).sum(axis=1)[rows] / back.sum(axis=1)[rows]
    offset = centre - middle[rows, 0]
    assert abs(offset.mean()) < 0.02
    assert np.abs(offset).max() < 0.5 * max(1.0, max(width, height) / size)


def test_constant_maps_stay_constant_at_the_edges() -> None:
    back = to_image_size(np.full((48, 64), 0.25, np.float32), 641, 479)
    np.testing.assert_allclose(back, 0.25, atol=1e-6)
    assert back.min() >= 0
