"""The schedule is diffusers', to the last digits; a draw is a function of what it is for, and of nothing else."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ldznet_cli.config import TEMPLATES
from ldznet_cli.errors import ModelError, UsageError
from ldznet_cli.ldm import DrawPolicy
from ldznet_cli.ldm.noise import Schedule
from tests.tiny import SCHEDULER_CONFIG

IMAGE = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
SCHEDULES: list[dict[str, Any]] = [
    {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    {"beta_schedule": "linear", "beta_start": 0.0015, "beta_end": 0.0195},
    {"beta_schedule": "squaredcos_cap_v2"},
    {"beta_schedule": "scaled_linear", "num_train_timesteps": 250, "rescale_betas_zero_snr": True},
    {"trained_betas": [0.1, 0.2, 0.3], "num_train_timesteps": 3},
]


def normal(*shape: int) -> list[torch.Tensor]:
    """Two tensors of standard normal noise."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator) for _ in range(2)]


@pytest.mark.parametrize("config", SCHEDULES, ids=str)
def test_schedule_equals_diffusers(config: dict[str, Any]) -> None:
    from diffusers import DDIMScheduler

    theirs, ours = DDIMScheduler(**config), Schedule.from_config(config)
    assert ours.timesteps == theirs.config.num_train_timesteps
    torch.testing.assert_close(ours.alphas_cumprod.float(), theirs.alphas_cumprod, atol=2e-6, rtol=0)
    (z, noise), t = normal(2, 4, 3, 5), torch.tensor([0, ours.timesteps - 1])
    torch.testing.assert_close(ours.add_noise(z, noise, t), theirs.add_noise(z, noise, t), atol=2e-3, rtol=0)


@pytest.mark.parametrize("change", [{"beta_schedule": "sigmoid"}, {"prediction_type": "flow"}], ids=str)
def test_an_unknown_schedule_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="unknown"):
        Schedule.from_config({**SCHEDULER_CONFIG, **change})


@pytest.mark.parametrize("timestep", [-1, 1000, torch.tensor([5, 1000])], ids=str)
def test_a_timestep_outside_the_schedule(timestep: int | torch.Tensor) -> None:
    z = torch.zeros(2, 4, 3, 3)
    with pytest.raises(UsageError, match="0 to 999"):
        Schedule.from_config(SCHEDULER_CONFIG).add_noise(z, z, timestep)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_noise_is_found_whatever_the_model_predicts(kind: str) -> None:
    """From the exact answer (eps; v = signal eps - spread z; z) the noise that went in comes out."""
    schedule = Schedule.from_config({**SCHEDULER_CONFIG, "prediction_type": kind})
    (z, noise), t = normal(2, 4, 5, 5), torch.tensor([300, 700])
    z_t = schedule.add_noise(z, noise, t)
    abar = schedule.alphas_cumprod[t].float().reshape(2, 1, 1, 1)
    answers = {"epsilon": noise, "v_prediction": abar.sqrt() * noise - (1 - abar).sqrt() * z, "sample": z}
    torch.testing.assert_close(schedule.noise_of(answers[kind], z_t, t), noise, atol=1e-5, rtol=0)


def test_half_precision_noise_is_computed_in_single() -> None:
    schedule = Schedule.from_config(SCHEDULER_CONFIG)
    z, noise = normal(1, 4, 8, 8)
    z = z.bfloat16()
    expected = schedule.add_noise(z.float(), noise, 400).bfloat16()
    assert torch.equal(schedule.add_noise(z, noise, 400), expected)


def test_golden_draws() -> None:
    """Recorded once: these numbers must be the same on every machine, for ever."""
    draw = DrawPolicy(seed=7).draw(IMAGE, "red lamp", 3)
    assert (draw.timestep, draw.template) == GOLDEN_CHOICES
    assert draw.key.hex() == GOLDEN_KEY
    assert [float(x).hex() for x in draw.noise((4, 5, 6)).flatten()[[0, 1, 59, 119]]] == GOLDEN_NOISE


GOLDEN_CHOICES = (419, "a photo of the {}.")
GOLDEN_KEY = "8f56e78e4c6a38f7cff268c26b5016da308f51a191c0c8e31914bb6be9ae7991"
GOLDEN_NOISE = [
    "0x1.22d3260000000p-1",
    "-0x1.0fa90c0000000p-1",
    "0x1.b3e3520000000p-1",
    "0x1.9873240000000p-6",
]


def test_noise_is_standard_normal() -> None:
    noise = DrawPolicy().draw(IMAGE, "lamp", 0).noise((4, 128, 128))
    assert noise.dtype == torch.float32
    assert abs(noise.mean().item()) < 0.02
    assert abs(noise.std().item() - 1) < 0.02
    assert abs((noise.abs() < 1).float().mean().item() - 0.6827) < 0.01


@given(
    st.tuples(
        st.integers(0, 5), st.sampled_from("ab"), st.sampled_from(["lamp", "red lamp"]), st.integers(0, 5)
    ),
    st.tuples(
        st.integers(0, 5), st.sampled_from("ab"), st.sampled_from(["lamp", "red lamp"]), st.integers(0, 5)
    ),
)
def test_draws_are_equal_exactly_when_all_that_they_are_for_is(one: Any, other: Any) -> None:
    first, second = (
        DrawPolicy(seed).draw(image, phrase, index) for seed, image, phrase, index in (one, other)
    )
    assert (first == second) == (one == other)
    assert torch.equal(first.noise((4, 2, 2)), second.noise((4, 2, 2))) == (one == other)


def test_neither_range_nor_template_nor_spaces_change_the_noise() -> None:
    one = DrawPolicy(3).draw(IMAGE, "red lamp", 1)
    other = DrawPolicy(3, timesteps=(0, 50), template="{}.").draw(IMAGE, "  red   lamp ", 1)
    assert other.template == "{}."
    assert 0 <= other.timestep < 50
    assert torch.equal(one.noise((4, 8, 8)), other.noise((4, 8, 8)))


def test_every_timestep_of_the_half_open_range_and_every_template_is_drawn() -> None:
    draws = [DrawPolicy(0, (300, 310)).draw(IMAGE, "lamp", index) for index in range(500)]
    timesteps, templates = Counter(d.timestep for d in draws), Counter(d.template for d in draws)
    assert set(timesteps) == set(range(300, 310))
    assert set(templates) == set(TEMPLATES)
    assert min(timesteps.values()) > 25
    assert min(templates.values()) > 30


@pytest.mark.parametrize("timesteps", [(300, 300), (5, 2), (-1, 4)])
def test_an_empty_range_is_refused(timesteps: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="are no range"):
        DrawPolicy(timesteps=timesteps)
