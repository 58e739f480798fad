"""What the LDM is shown: a function of (seed, step), in the recipe's shares, on Stable Diffusion's schedule."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ldznet_cli.ldm.noise import Schedule
from ldznet_cli.miniature.ldm_recipe import PretrainingRecipe, ScheduleRecipe
from ldznet_cli.miniature.pipeline import build_scheduler
from ldznet_cli.miniature.pretraining import Denoising, TrainingData, alphas_cumprod
from ldznet_cli.miniature.recipe import tiny
from ldznet_cli.miniature.text import build_tokenizer, count_words

SCHEDULE = ScheduleRecipe()


@pytest.fixture(scope="module")
def objective(tmp_path_factory: pytest.TempPathFactory) -> Denoising:
    """500 made-up latents whose captions are one token, its number the image's."""
    folder = tmp_path_factory.mktemp("data")
    recipe = tiny().pretraining
    build_tokenizer(count_words(["a red lamp"]), recipe.text).save_pretrained(folder / "tokenizer")
    images = np.arange(500)
    np.save(folder / "latents.npy", np.ones((500, 4, 16, 16), np.float16) * images[:, None, None, None])
    np.save(folder / "captions.npy", np.broadcast_to(images[:, None, None], (500, 3, 32)).astype(np.uint16))
    recipe = replace(recipe, descent=replace(recipe.descent, batch=64))
    return Denoising(recipe, SCHEDULE, TrainingData(folder), folder / "tokenizer")


def test_the_schedule_is_stable_diffusions() -> None:
    ours = alphas_cumprod(SCHEDULE)
    torch.testing.assert_close(ours, build_scheduler(SCHEDULE).alphas_cumprod, rtol=1e-4, atol=1e-6)
    frozen = Schedule.from_config(dict(build_scheduler(SCHEDULE).config)).alphas_cumprod
    torch.testing.assert_close(ours, frozen.float(), rtol=1e-5, atol=1e-7)


def test_a_step_is_the_same_whatever_came_before_and_shards_part_it(objective: Denoising) -> None:
    whole = objective.sample(7, 0, 1)
    objective.sample(3, 0, 1)
    again = objective.sample(7, 0, 1)
    halves = [objective.sample(7, shard, 2) for shard in range(2)]
    for name in ("z", "noise", "timesteps", "ids"):
        assert torch.equal(getattr(whole, name), getattr(again, name))
        for shard, half in enumerate(halves):
            assert torch.equal(getattr(half, name), getattr(whole, name)[shard::2])
    assert not torch.equal(whole.noise, objective.sample(8, 0, 1).noise)


def test_captions_belong_to_their_images_and_a_tenth_is_dropped(objective: Denoising) -> None:
    samples = [objective.sample(step, 0, 1) for step in range(60)]
    z = torch.cat([sample.z[:, 0, 0, 0] for sample in samples])
    ids = torch.cat([sample.ids for sample in samples])
    dropped = (ids == torch.from_numpy(objective._empty)).all(1)
    assert (ids[~dropped][:, 0] == z[~dropped]).all()
    assert dropped.float().mean() == pytest.approx(objective.recipe.caption_dropout, abs=0.02)


def test_timesteps_are_drawn_in_the_recipes_shares(objective: Denoising) -> None:
    timesteps = torch.cat([objective.sample(step, 0, 1).timesteps for step in range(60)])
    recipe: PretrainingRecipe = objective.recipe
    low = (timesteps < recipe.low_timesteps).float().mean()
    assert low == pytest.approx(recipe.low_share, abs=0.03)
    assert timesteps.min() >= 0
    assert timesteps.max() < SCHEDULE.steps
    assert timesteps[timesteps >= 300].float().mean() == pytest.approx(650, abs=15)


def test_the_loss_is_the_weighted_error_of_the_noise(objective: Denoising) -> None:
    class Silent(torch.nn.Module):
        def forward(self, z_t: torch.Tensor, timesteps: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
            return torch.zeros_like(z_t)

    sample = objective.sample(0, 0, 1)
    loss, metrics = objective.loss(Silent(), 0, 0, 1)
    errors = sample.noise.square().mean((1, 2, 3))
    weights = (1 / alphas_cumprod(SCHEDULE)[sample.timesteps]).clamp(max=20)
    torch.testing.assert_close(loss, (weights * errors).mean())
    assert sum(metrics[f"count{i}"] for i in range(4)) == 64
    assert sum(metrics[f"sum{i}"] for i in range(4)) == pytest.approx(float(errors.sum()), rel=1e-5)


def test_bands_part_the_timesteps_evenly(objective: Denoising, tmp_path: Path) -> None:
    bands = objective._bands(torch.tensor([1.0, 2.0, 4.0, 8.0]), torch.tensor([249, 250, 999, 0]))
    assert [bands[f"sum{i}"] for i in range(4)] == [9, 2, 0, 4]
    assert [bands[f"count{i}"] for i in range(4)] == [2, 1, 0, 1]
