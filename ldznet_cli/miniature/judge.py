"""The judge of samples: a small classifier, trained on rendered scenes, that names objects with their colours."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ldznet_cli.miniature.autoencoder import to_pixels
from ldznet_cli.miniature.data import Images
from ldznet_cli.miniature.recipe import ScoringRecipe
from ldznet_cli.miniature.scenes import COLORS, OBJECTS, STYLES, Scene, render, scene_seed
from ldznet_cli.miniature.scenes.scene import generator

PAIRS = tuple(f"{color} {name}" for name in OBJECTS for color in COLORS)
"""What the judge can say."""


def pairs_of(scene: Scene) -> NDArray[np.float32]:
    """1 for each colour and object that is in the scene, float32 (len(PAIRS),)."""
    present = {f"{region.color} {region.name}" for region in scene.regions if region.kind == "object"}
    return np.array([pair in present for pair in PAIRS], dtype=np.float32)


class Judge(nn.Module):
    """Four strided convolutions and the greatest answer over all places: is there a red lamp anywhere?"""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        widths = (3, width, 2 * width, 4 * width, 4 * width)
        layers: list[nn.Module] = []
        for narrow, wide in pairwise(widths):
            layers += [nn.Conv2d(narrow, wide, 3, stride=2, padding=1), nn.GroupNorm(8, wide), nn.ReLU()]
        layers += [
            nn.Conv2d(widths[-1], widths[-1], 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(widths[-1], len(PAIRS), 1),
        ]
        self.layers = nn.Sequential(*layers)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits (B, pairs) for images (B, 3, 128, 128) in [-1, 1]."""
        answers: Tensor = self.layers(pixels)
        return answers.flatten(2).logsumexp(2) - float(np.log(answers[0, 0].numel()))


@dataclass(frozen=True)
class JudgeStep:
    """Progress of the judge's making: scenes rendered, then steps taken."""

    stage: str
    done: int
    total: int
    loss: float | None = None


@dataclass
class Training:
    """Makes the judge; `judge` is ready when the generator `run` has ended."""

    recipe: ScoringRecipe
    batch: int = 32

    def run(self) -> Iterator[JudgeStep]:
        """Render the scenes, then train with AdamW under a one-cycle rate; the loss is binary cross-entropy."""
        images, labels = yield from self._scenes()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.recipe.classifier_seed)
            self.judge = Judge()
        steps = self.recipe.classifier_steps
        optimiser = torch.optim.AdamW(self.judge.parameters(), lr=2e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
        for step in range(steps):
            draw = generator("judge", self.recipe.classifier_seed, step)
            which = draw.integers(0, len(images), self.batch)
            pixels = to_pixels(images[which])
            pixels = pixels + 0.05 * torch.from_numpy(draw.standard_normal(pixels.shape, dtype=np.float32))
            loss = nn.functional.binary_cross_entropy_with_logits(
                self.judge(pixels), labels[which], pos_weight=torch.tensor(10.0)
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            yield JudgeStep("train the judge", step + 1, steps, loss.item())
        self.judge.eval()

    def _scenes(self) -> Generator[JudgeStep, None, tuple[Images, Tensor]]:
        count, images, labels = self.recipe.classifier_scenes_per_style, [], []
        for index in range(count):
            for style in STYLES:
                scene = render(style, scene_seed(self.recipe.classifier_seed, index))
                images.append(scene.image)
                labels.append(pairs_of(scene))
            yield JudgeStep("render for the judge", index + 1, count)
        return np.stack(images), torch.from_numpy(np.stack(labels))


@torch.no_grad()
def named_pairs(judge: Judge, images: Images) -> list[str]:
    """The colour and object that the judge is surest of, for each image (n, 128, 128, 3)."""
    parts = [judge(to_pixels(images[i : i + 50])).argmax(1) for i in range(0, len(images), 50)]
    return [PAIRS[int(best)] for best in torch.cat(parts)]


def agreement(found: Sequence[str], wanted: Sequence[str]) -> dict[str, float]:
    """Shares of images whose object, colour, and both are what was wanted."""
    words = [(a.split(" ", 1), b.split(" ", 1)) for a, b in zip(found, wanted, strict=True)]
    return {
        "color": float(np.mean([a[0] == b[0] for a, b in words])),
        "object": float(np.mean([a[1] == b[1] for a, b in words])),
        "both": float(np.mean([a == b for a, b in words])),
    }
