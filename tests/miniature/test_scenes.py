"""Scenes: the same for ever, whole, and drawn so that everything in them can be seen."""

from __future__ import annotations

import hashlib
from importlib.metadata import version

import numpy as np
import pytest
from PIL import Image

from ldznet_cli.errors import UsageError
from ldznet_cli.miniature.sample_data import MADE_WITH
from ldznet_cli.miniature.scenes import (
    BACKDROPS,
    COLORS,
    GROUNDS,
    OBJECTS,
    SIZE,
    STYLES,
    Scene,
    compose,
    render,
    scene_seed,
)
from ldznet_cli.miniature.scenes.compose import visible
from ldznet_cli.miniature.scenes.objects import SHAPES
from ldznet_cli.miniature.scenes.palette import distance, object_rgb
from ldznet_cli.miniature.scenes.scene import scene_generator

GOLDEN = "fb844170d486667fcce4e777af0d89e185b6c9027164a31d522a743d45f87bc3"
"""SHA-256 of images and masks of `scenes`: changes only together with RENDERER_VERSION."""


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [render(style, scene_seed(41, index)) for style in STYLES for index in range(40)]


def _digest(scenes: list[Scene]) -> str:
    digest = hashlib.sha256()
    for scene in scenes:
        digest.update(scene.image.tobytes())
        for region in scene.regions:
            digest.update(f"{region.kind} {region.name} {region.color} {region.position}".encode())
            digest.update(np.packbits(region.mask).tobytes())
    return digest.hexdigest()


def test_a_scene_is_a_function_of_style_and_seed() -> None:
    for style in STYLES:
        assert _digest([render(style, 5)]) == _digest([render(style, 5)])
        assert _digest([render(style, 5)]) != _digest([render(style, 6)])
    np.random.seed(0)  # noqa: NPY002 - the global state must not matter
    assert _digest([render("photo", 5)]) == _digest([render("photo", 5)])


def test_pixels_and_masks_are_those_of_this_renderer_version(scenes: list[Scene]) -> None:
    """Weights were trained on these pixels. Other versions of Pillow draw some edge pixels otherwise."""
    if any(version(name) != made for name, made in MADE_WITH.items()):
        pytest.skip(f"the golden hash is that of {MADE_WITH}")
    assert _digest(scenes) == GOLDEN


def test_form_of_a_scene(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert scene.image.shape == (SIZE, SIZE, 3)
        assert scene.image.dtype == np.uint8
        *objects, ground, backdrop = scene.regions
        assert 1 <= len(objects) <= 4
        assert all(r.kind == "object" and r.name in OBJECTS and r.color in COLORS for r in objects)
        assert (ground.kind, backdrop.kind) == ("stuff", "stuff")
        assert (ground.name in GROUNDS, backdrop.name in BACKDROPS) == (True, True)
        assert (ground.color, backdrop.color) == (None, None)


def test_regions_partition_the_image(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert all(region.mask.dtype == np.bool_ for region in scene.regions)
        owners = np.sum([region.mask for region in scene.regions], axis=0)
        np.testing.assert_array_equal(owners, 1)


def test_everything_is_big_enough_to_be_seen(scenes: list[Scene]) -> None:
    for scene in scenes:
        for region in scene.regions:
            rows, columns = np.nonzero(region.mask)
            if region.kind == "stuff":
                assert region.mask.mean() >= 0.08
            else:
                assert 0.02 <= region.mask.mean() <= 0.22
                assert max(np.ptp(rows), np.ptp(columns)) + 1 <= 90
                assert min(rows.min(), columns.min()) >= 1
                assert max(rows.max(), columns.max()) <= SIZE - 2


def test_the_ground_lies_below_the_backdrop(scenes: list[Scene]) -> None:
    for scene in scenes:
        ground, backdrop = scene.regions[-2:]
        assert backdrop.mask[0].any()
        assert not ground.mask[: int(0.45 * SIZE) - 4].any()
        assert not backdrop.mask[int(0.75 * SIZE) + 5 :].any()


def test_what_stands_in_front_hides_what_is_behind() -> None:
    back, front = np.zeros((2, SIZE, SIZE), dtype=np.bool_)
    back[10:20, 10:20] = True
    front[15:25, 10:20] = True
    seen = visible([back, front])
    assert [int(mask.sum()) for mask in seen] == [50, 100]
    assert not (seen[0] & seen[1]).any()


def test_every_object_keeps_most_of_itself_in_view() -> None:
    """Arrangements before they are painted: the whole silhouettes are known there."""
    hidden = 0
    for seed in range(60):
        placed = compose._placed("cartoon", 80.0, scene_generator("cartoon", seed))
        whole = [p.mask() for p in placed]
        for seen, all_of_it in zip(visible(whole), whole, strict=True):
            assert seen.sum() >= 0.6 * all_of_it.sum()
            assert all_of_it.sum() >= 0.03 * SIZE * SIZE
            hidden += int(seen.sum() < all_of_it.sum())
        assert [p.bottom for p in placed] == sorted(p.bottom for p in placed)
    assert hidden > 5


def test_all_words_of_the_world_occur_in_all_styles() -> None:
    for style in STYLES:
        regions = [r for i in range(160) for r in render(style, scene_seed(77, i)).regions]
        assert {r.name for r in regions} == {*OBJECTS, *GROUNDS, *BACKDROPS}
        assert {r.color for r in regions} - {None} == set(COLORS)
        assert {r.position for r in regions} == {None, "left", "right"}


def test_names_are_distinct_and_shapes_many() -> None:
    assert len({*OBJECTS, *GROUNDS, *BACKDROPS}) == len(OBJECTS) + len(GROUNDS) + len(BACKDROPS)
    assert (len(OBJECTS) >= 12, len(COLORS) >= 8, len(GROUNDS) >= 7, len(BACKDROPS) >= 4) == (True,) * 4
    assert all(len(variants) >= 2 for variants in SHAPES.values())


def test_the_colour_named_is_the_colour_seen(scenes: list[Scene]) -> None:
    """Of the nine colours, the one that most of an object's inside is nearest to is its own, nearly always."""
    right, total = 0, 0
    for scene in scenes:
        for region in scene.regions:
            if region.color is None:
                continue
            pixels = [(float(r), float(g), float(b)) for r, g, b in scene.image[region.mask][::9]]
            nearest = [min(COLORS, key=lambda c: distance(object_rgb(scene.style, c), p)) for p in pixels]
            right += max(set(nearest), key=nearest.count) == region.color
            total += 1
    assert right / total > 0.93


def test_styles_look_different(scenes: list[Scene]) -> None:
    """Sketches are pale, photographs noisy, cartoons flat."""

    def measured(style: str) -> tuple[float, float]:
        images = [scene.image.astype(float) for scene in scenes if scene.style == style]
        flat = [float((np.abs(np.diff(image, axis=1)).max(axis=2) == 0).mean()) for image in images]
        return float(np.mean([image.mean() for image in images])), float(np.mean(flat))

    (photo, photo_flat), (cartoon, cartoon_flat), (sketch, _) = (measured(style) for style in STYLES)
    assert sketch > max(photo, cartoon) + 25
    assert photo_flat < 0.05
    assert cartoon_flat > 0.5


def test_detail_is_little_enough_for_an_8x_autoencoder(scenes: list[Scene]) -> None:
    """Even four-fold averaging, which knows nothing of edges, keeps over 21 dB in every style."""
    for style in STYLES:
        decibels = []
        for scene in (s for s in scenes if s.style == style):
            small = Image.fromarray(scene.image).resize((32, 32), Image.Resampling.BOX)
            back = np.asarray(small.resize((SIZE, SIZE), Image.Resampling.BICUBIC), dtype=np.float64)
            decibels.append(10 * np.log10(255**2 / ((back - scene.image) ** 2).mean()))
        assert np.mean(decibels) > 21


def test_seeds_of_sets_never_meet() -> None:
    seeds = {scene_seed(seed, index) for seed in range(20) for index in (0, 1, 999, 2**32 - 1)}
    assert len(seeds) == 80
    for seed, index in ((-1, 0), (0, -1), (0, 2**32)):
        with pytest.raises(UsageError, match="at least 0"):
            scene_seed(seed, index)


def test_an_unknown_style_is_the_users_error() -> None:
    with pytest.raises(UsageError, match="unknown style 'oil': expected one of photo, cartoon, sketch"):
        render("oil", 0)
