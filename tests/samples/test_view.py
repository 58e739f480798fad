"""Views cut and mirror image, mask and phrase alike, and squares keep sight of what they are about."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ldznet_cli.errors import UsageError
from ldznet_cli.samples.view import LEAST_FOREGROUND, WHOLE, View, ViewPolicy

SHA = "a" * 64
sides = st.integers(1, 60)


@given(sides, sides, st.floats(0.05, 1), st.booleans(), st.integers(0, 99))
def test_a_view_shows_the_same_pixels_of_image_and_mask(width, height, crop, flip, seed):
    random = np.random.default_rng(seed)
    mask = random.random((height, width)) < 0.5
    image = Image.fromarray(mask.astype(np.uint8) * 255)
    view = ViewPolicy(crop, flip).draw(random, width, height, mask)
    seen = np.asarray(view.of_image(image)) > 0
    np.testing.assert_array_equal(seen, view.of_mask(mask))
    assert seen.shape[::-1] == view.size(width, height)
    assert view.size(width, height)[0] <= min(width, height)


@given(st.integers(0, 200))
def test_a_square_keeps_enough_of_a_small_thing(seed):
    mask = np.zeros((90, 160), dtype=bool)
    mask[35:55, 70:90] = True
    view = ViewPolicy(0.5).draw(np.random.default_rng(seed), 160, 90, mask)
    assert view.of_mask(mask).mean() >= LEAST_FOREGROUND


def test_where_nothing_has_enough_the_best_is_taken():
    mask = np.zeros((40, 80), dtype=bool)
    mask[0:2, 0:10] = True  # 1.25 % of a square of 40 at most
    for seed in range(20):
        assert ViewPolicy(1.0).draw(np.random.default_rng(seed), 80, 40, mask).of_mask(mask).any()


def test_mirrored_left_is_right():
    flipped = View(flip=True)
    assert flipped.of_phrase("Left lamp on the RIGHT, leftover") == "Right lamp on the LEFT, leftover"
    assert (
        flipped.of_phrase("the leftmost, right-hand righthand man") == "the rightmost, left-hand lefthand man"
    )
    assert WHOLE.of_phrase("lamp on the left") == "lamp on the left"
    assert flipped.of_phrase(flipped.of_phrase("right shoe")) == "right shoe"


def test_every_view_has_a_name_of_its_own_and_the_whole_has_the_images():
    views = [WHOLE, View(flip=True), View((0, 0, 8)), View((0, 0, 8), True), View((0, 1, 8)), View((0, 0, 9))]
    names = [view.identity(SHA) for view in views]
    assert names[0] == SHA
    assert len(set(names)) == len(views)
    assert all(len(name) == 64 for name in names)


def test_flips_come_half_of_the_time_and_the_same_seed_draws_the_same():
    policy = ViewPolicy(0.3, flip=True)
    drawn = [[policy.draw(np.random.default_rng(seed), 64, 48) for seed in range(200)] for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert 60 < sum(view.flip for view in drawn[0]) < 140
    assert len({view.box for view in drawn[0]}) > 150


@pytest.mark.parametrize("crop", [0.0, -1.0, 1.5])
def test_a_share_outside_its_range_is_refused(crop):
    with pytest.raises(UsageError, match=r"--crop .*found"):
        ViewPolicy(crop)
