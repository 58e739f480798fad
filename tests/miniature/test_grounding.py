"""The noise-difference bar: what a model that knows its words scores, and one that does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from ldznet_cli.miniature.grounding import average_precision, centre_blob, ground, queries, row_contrast
from ldznet_cli.miniature.scenes import STYLES, Scene, phrases, render, scene_seed
from ldznet_cli.samples.templates import prompt_of

SCENES = [render(style, scene_seed(61, index)) for style in STYLES for index in range(4)]


@dataclass
class Painter:
    """Predicts the phrase's own mask as noise (`knows`), or one and the same blob for any phrase."""

    scene: Scene
    knows: bool

    def predict(self, z: Tensor, noise: Tensor, timestep: int, prompts: Sequence[str]) -> Tensor:
        masks = {prompt_of(phrase.text): phrase.mask for phrase in phrases(self.scene)}
        blank = np.zeros((16, 16))
        blob = centre_blob(16)
        maps = [blank if not p else _small(masks[p]) if self.knows else blob for p in prompts]
        return torch.from_numpy(np.stack(maps)).float()[:, None].expand(-1, 4, -1, -1)


def _small(mask: np.ndarray) -> np.ndarray:
    return mask.reshape(16, 8, 16, 8).mean((1, 3))


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: f"{scene.style}{scene.seed}")
def test_who_knows_the_phrase_beats_the_other_phrase(scene: Scene) -> None:
    rows = list(ground(Painter(scene, knows=True), scene, torch.zeros(1, 4, 16, 16), (400, 600)))
    assert len(rows) == 2 * len(queries(scene)) > 0
    assert all(row["right"] > 0.8 and row["right"] > row["other"] + 0.3 for row in rows)


def test_who_knows_no_phrase_has_no_margin() -> None:
    rows = list(ground(Painter(SCENES[0], knows=False), SCENES[0], torch.zeros(1, 4, 16, 16), (600,)))
    assert all(row["right"] == row["other"] == pytest.approx(row["centre"], abs=1e-3) for row in rows)


def test_the_other_phrase_is_elsewhere_and_an_object_where_there_is_one() -> None:
    for scene in SCENES:
        for query in queries(scene):
            assert not (query.right.mask & query.other.mask).any()
            apart = [
                p for p in phrases(scene) if p.kind == "object" and not (p.mask & query.right.mask).any()
            ]
            assert query.other.kind == ("object" if apart else "stuff")


def test_average_precision_of_known_maps() -> None:
    mask = np.zeros((4, 4), dtype=bool)
    mask[:2] = True
    assert average_precision(mask.astype(np.float32) * 7 - 3, mask) == 1.0
    assert average_precision(np.full((4, 4), 5, dtype=np.float32), mask) == 0.5
    # reversed: the 8 wrong pixels come first, tied; then all 16: precision 1/2 at recall 1
    assert average_precision(-mask.astype(np.float32), mask) == 0.5


def test_row_contrast_is_high_where_a_row_differs_from_its_median() -> None:
    image = np.zeros((128, 128, 3), dtype=np.uint8)
    image[10, 5] = (3, 4, 0)
    contrast = row_contrast(Scene("photo", 0, image, ()))
    assert contrast[10, 5] == 5
    assert contrast.sum() == 5
