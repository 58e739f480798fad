"""How the judge of samples is made: trained on rendered scenes and their exact masks, one object to a scene mostly.

Samples come out of a decoder, blurred and not quite flat: half of the training images are blurred, all get noise.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ldznet_cli.miniature.autoencoder import to_pixels
from ldznet_cli.miniature.data import Images
from ldznet_cli.miniature.events import BuildEvent
from ldznet_cli.miniature.judge import Judge, Shares, what_stands_where
from ldznet_cli.miniature.recipe import JudgeRecipe
from ldznet_cli.miniature.scenes import STYLES, Scene, render, scene_seed
from ldznet_cli.miniature.scenes.scene import generator

_EMPTY_PLACE = 0.15
"""Weight of a place without any object; one that an object fills has 1 more."""


def has_one_object(scene: Scene) -> bool:
    """Whether the scene shows a single object."""
    return sum(region.kind == "object" for region in scene.regions) == 1


@dataclass(frozen=True)
class JudgeScenes:
    """Rendered scenes: images (n, 128, 128, 3), what stands where, and which of them show one object."""

    images: Images
    objects: Shares
    colors: Shares
    singles: np.ndarray[tuple[int], np.dtype[np.intp]]


def train_judge(recipe: JudgeRecipe) -> Generator[BuildEvent, None, Judge]:
    """Render the scenes, then train with AdamW under a one-cycle rate; the same recipe gives the same judge."""
    scenes = yield from _rendered(recipe)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        judge = Judge(recipe.widths)
    optimiser = torch.optim.AdamW(
        judge.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.learning_rate, recipe.steps)
    for step in range(recipe.steps):
        loss = _loss(judge, scenes, recipe, step)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        yield BuildEvent("train the judge", step + 1, recipe.steps)
    return judge.eval()


def _rendered(recipe: JudgeRecipe) -> Generator[BuildEvent, None, JudgeScenes]:
    images, places, singles = [], [], []
    for index in range(recipe.scenes_per_style):
        for style in STYLES:
            scene = render(style, scene_seed(recipe.seed, index))
            images.append(scene.image)
            places.append(what_stands_where(scene))
            singles.append(has_one_object(scene))
        yield BuildEvent("render for the judge", index + 1, recipe.scenes_per_style)
    objects, colors = (np.stack(shares) for shares in zip(*places, strict=True))
    return JudgeScenes(np.stack(images), objects, colors, np.flatnonzero(singles))


def _loss(judge: Judge, scenes: JudgeScenes, recipe: JudgeRecipe, step: int) -> Tensor:
    """Cross-entropy of objects over all places, of colours over objects alone."""
    draw = generator("judge", recipe.seed, step)
    which = draw.integers(0, len(scenes.images), recipe.batch)
    if len(scenes.singles):
        singles = draw.choice(scenes.singles, recipe.batch)
        which = np.where(draw.random(recipe.batch) < recipe.single_share, singles, which)
    pixels = _spoiled(to_pixels(scenes.images[which]), recipe, draw)
    with torch.autocast("cpu", torch.bfloat16):
        object_logits, color_logits = judge(pixels.contiguous(memory_format=torch.channels_last))
    objects, colors = torch.from_numpy(scenes.objects[which]), torch.from_numpy(scenes.colors[which])
    smooth = (1 - recipe.smoothing) * objects + recipe.smoothing / objects.shape[1]
    weight = _EMPTY_PLACE + colors.sum(1)
    error = -(smooth * object_logits.float().log_softmax(1)).sum(1)
    color_error = -(colors * color_logits.float().log_softmax(1)).sum(1)
    loss: Tensor = (weight * error).sum() / weight.sum() + color_error.sum() / colors.sum()
    return loss


def _spoiled(pixels: Tensor, recipe: JudgeRecipe, draw: np.random.Generator) -> Tensor:
    """Blurred half of the time, with Gaussian noise of a deviation up to the recipe's."""
    count = len(pixels)
    small = functional.avg_pool2d(pixels, 2)
    blurred = functional.interpolate(small, scale_factor=2, mode="bilinear")
    pixels = torch.where(torch.from_numpy(draw.random((count, 1, 1, 1)) < 0.5), blurred, pixels)
    deviation = torch.from_numpy(recipe.greatest_noise * draw.random((count, 1, 1, 1), dtype=np.float32))
    return pixels + deviation * torch.from_numpy(draw.standard_normal(pixels.shape, dtype=np.float32))
