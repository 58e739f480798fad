"""The training loop: resumed = uninterrupted, in shards = whole, the schedule, and what stops it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ldznet_cli.errors import ModelError
from ldznet_cli.miniature.descent import Descent, rate
from ldznet_cli.miniature.ldm_recipe import DescentRecipe
from ldznet_cli.miniature.shards import Metrics

RECIPE = DescentRecipe(
    seed=0, steps=12, batch=8, learning_rate=0.05, warmup_steps=3, decay_steps=4, ema=0.9, shards=1
)


@dataclass(frozen=True)
class Regression:
    """Fit a line to noisy points: the smallest objective whose every step is drawn anew."""

    batch: int = 8
    broken_at: int = -1

    def module(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))

    def rates(self) -> Mapping[str, float]:
        return {"2.": 0.5}

    def loss(self, module: nn.Module, step: int, shard: int, shards: int) -> tuple[Tensor, Metrics]:
        random = torch.Generator().manual_seed(step)
        x = torch.randn(self.batch, 3, generator=random)[shard::shards]
        error = (module(x).squeeze(1) - x.sum(1)).square().mean()
        if step == self.broken_at:
            error = error * float("nan")
        return error, {"error": error.item()}


def run(folder: Path, recipe: DescentRecipe = RECIPE, steps: int | None = None) -> Descent:
    """Train in the folder for so many steps, or to the end."""
    descent = Descent(Regression(), recipe, folder)
    records = descent.run()
    list(islice(records, steps))
    records.close()
    return descent


def test_a_resumed_training_is_bit_identical(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    for steps in (1, 5, 3):
        run(tmp_path / "parts", steps=steps)
    parts = run(tmp_path / "parts")
    assert whole.step == parts.step == RECIPE.steps
    for name in ("flat", "ema", "first", "second"):
        assert torch.equal(getattr(whole, name), getattr(parts, name)), name


def test_two_shards_give_the_gradient_of_the_whole_batch(tmp_path: Path) -> None:
    one = run(tmp_path / "one", steps=4)
    two = run(tmp_path / "two", replace(RECIPE, shards=2), steps=4)
    torch.testing.assert_close(one.flat, two.flat, rtol=1e-5, atol=1e-6)


def test_it_is_adamw(tmp_path: Path) -> None:
    recipe = replace(RECIPE, weight_decay=0.1, clip=1e9, warmup_steps=0, steps=104, decay_steps=4)
    ours = run(tmp_path, recipe, steps=5)
    module = Regression().module()
    slow, fast = list(module[2].parameters()), list(module[0].parameters())  # type: ignore[index]
    groups = [{"params": fast, "lr": 0.05}, {"params": slow, "lr": 0.025}]
    optimiser = torch.optim.AdamW(groups, betas=recipe.betas, weight_decay=0.1)
    for step in range(5):
        optimiser.zero_grad()
        Regression().loss(module, step, 0, 1)[0].backward()
        optimiser.step()
    expected = torch.cat([p.detach().flatten() for p in module.parameters()])
    torch.testing.assert_close(ours.flat, expected, rtol=1e-4, atol=1e-5)


def test_decay_now_ends_early_and_is_remembered(tmp_path: Path) -> None:
    run(tmp_path, steps=2)
    (tmp_path / "decay-now").touch()
    ended = run(tmp_path)
    state = json.loads((tmp_path / "checkpoint" / "state.json").read_text())
    assert (ended.step, state["decay_from"]) == (2 + RECIPE.decay_steps, 2)


def test_the_rate_warms_up_stays_and_decays_to_zero() -> None:
    rates = [rate(RECIPE, step, 8) / RECIPE.learning_rate for step in range(13)]
    expected = [1 / 3, 2 / 3, 1, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0]
    assert rates == pytest.approx(expected)


def test_a_gradient_that_is_not_finite_stops_it_with_the_step(tmp_path: Path) -> None:
    descent = Descent(Regression(broken_at=2), RECIPE, tmp_path)
    with pytest.raises(ModelError, match="not finite at step 2"):
        list(descent.run())
    assert torch.isfinite(descent.flat).all()


def test_a_checkpoint_of_other_networks_is_refused(tmp_path: Path) -> None:
    run(tmp_path, steps=1)

    class Wider(Regression):
        def module(self) -> nn.Module:
            return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1))

    with pytest.raises(ModelError, match=r"0.weight should be \(5, 3\), found \(4, 3\)"):
        Descent(Wider(), RECIPE, tmp_path)
