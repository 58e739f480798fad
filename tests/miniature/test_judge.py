"""The judge of samples: what it is taught, what it answers, and that it learns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from ldznet_cli.miniature.judge import GRID, Judge, agreement, named_pairs, what_stands_where
from ldznet_cli.miniature.judge_training import has_one_object, train_judge
from ldznet_cli.miniature.recipe import JudgeRecipe, tiny
from ldznet_cli.miniature.scenes import COLORS, OBJECTS, STYLES, render, scene_seed

RECIPE = tiny().scoring.judge


def test_what_stands_where_is_the_masks_on_a_grid() -> None:
    scene = render("photo", 12)
    objects, colors = what_stands_where(scene)
    assert objects.sum(0) == pytest.approx(1, abs=1e-6)
    assert colors.sum(0) == pytest.approx(1 - objects[-1], abs=1e-6)
    for region in scene.regions:
        if region.color is not None:
            same = [r.mask for r in scene.regions if r.name == region.name]
            pixels = objects[OBJECTS.index(region.name)].sum() * (128 // GRID) ** 2
            assert pixels == pytest.approx(np.sum(same), abs=0.01)
            assert colors[COLORS.index(region.color)].sum() > 0


class Answers(Judge):
    """A judge that sees a big red lamp on the left of every image and a small blue cat on the right."""

    def __init__(self) -> None:
        super().__init__((4, 4, 8, 8))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        objects = torch.full((len(pixels), len(OBJECTS) + 1, GRID, GRID), -9.0)
        colors = torch.full((len(pixels), len(COLORS), GRID, GRID), -9.0)
        objects[:, -1] = 0
        objects[:, OBJECTS.index("lamp"), :, :3] = 9
        objects[:, OBJECTS.index("cat"), :, 6:] = 9
        colors[:, COLORS.index("red"), :, :3] = 9
        colors[:, COLORS.index("blue"), :, 3:] = 9
        return objects, colors


def test_the_object_that_takes_most_is_named_with_its_own_colour() -> None:
    images = np.zeros((3, 128, 128, 3), dtype=np.uint8)
    assert named_pairs(Answers(), images) == ["red lamp"] * 3


def test_agreement_counts_object_and_colour_apart() -> None:
    found = ["red lamp", "red cat", "blue lamp", "blue cat"]
    assert agreement(found, ["red lamp"] * 4) == {"color": 0.5, "object": 0.5, "both": 0.25}


def made(recipe: JudgeRecipe) -> tuple[list[str], Judge]:
    """The stages that were told, and the judge."""
    events, told = train_judge(recipe), []
    while True:
        try:
            told.append(next(events).stage)
        except StopIteration as end:
            return told, end.value


def test_the_same_recipe_gives_the_same_judge_and_each_step_is_told() -> None:
    (told, one), (_, two) = made(RECIPE), made(RECIPE)
    assert told == ["render for the judge"] * 3 + ["train the judge"] * 3
    other = two.state_dict()
    assert all(torch.equal(value, other[name]) for name, value in one.state_dict().items())
    assert not one.training


def test_it_learns_the_scenes_it_is_shown() -> None:
    recipe = replace(RECIPE, scenes_per_style=4, widths=(8, 16, 16, 32), steps=70, batch=8)
    judge = made(recipe)[1]
    scenes = [render(style, scene_seed(recipe.seed, index)) for index in range(4) for style in STYLES]
    singles = [scene for scene in scenes if has_one_object(scene)]
    wanted = [f"{r.color} {r.name}" for scene in singles for r in scene.regions if r.color]
    named = named_pairs(judge, np.stack([scene.image for scene in singles]))
    assert agreement(named, wanted)["both"] > 0.8
