"""Shapes told beforehand are those that come out."""

from __future__ import annotations

from pathlib import Path

import pytest

from ldznet_cli.features import compute
from ldznet_cli.features.shapes import block_shapes, grid_of, text_shape
from ldznet_cli.features.source import FeatureItem
from ldznet_cli.features.unit import unit_of
from ldznet_cli.ldm import DrawPolicy, FrozenLDM
from ldznet_cli.samples.geometry import Geometry
from ldznet_cli.samples.images import ImageRef, read_image, to_tensor


@pytest.mark.parametrize("size", [(96, 96), (130, 70), (64, 200), (111, 97)])
@pytest.mark.parametrize("kind", ["aligned", "square", "official"])
def test_shapes_are_known_from_the_configuration(
    tiny_ldm: Path, images: list[ImageRef], size: tuple[int, int], kind: str
) -> None:
    ldm = FrozenLDM.load(tiny_ldm, blocks=(0, 1, 2, 3, 4, 5, 6, 7, 8))
    geometry = Geometry(kind, 96)  # type: ignore[arg-type]
    pixels = to_tensor(read_image(images[0].path).resize(size), geometry)
    z = compute.encode_z(ldm, pixels)
    grid = grid_of(ldm, geometry, *size)
    assert tuple(z.shape) == (4, *grid)
    requests = unit_of(images[0], "ab" * 32, [FeatureItem("lamp")], DrawPolicy()).requests
    [[(_, blocks)]] = compute.feature_batches(ldm, z, lambda p: compute.encode_text(ldm, p), requests, 1)
    assert block_shapes(ldm, grid) == {index: tuple(block.shape) for index, block in blocks.items()}
    assert text_shape(ldm) == tuple(compute.encode_text(ldm, "lamp").shape)


def test_without_a_unet_there_are_no_blocks(tiny_ldm: Path) -> None:
    assert block_shapes(FrozenLDM.load(tiny_ldm, blocks=()), (8, 8)) == {}
