"""The learning rate, and the moving average's decay."""

import pytest
import torch
from torch import nn

from ldznet_cli.cli.train import CROPS
from ldznet_cli.errors import UsageError
from ldznet_cli.training.config import TrainConfig, preset
from ldznet_cli.training.ema import Ema
from ldznet_cli.training.schedule import FLOOR, learning_rate, plateaus


def test_warm_up_rises_to_the_rate_and_cosine_falls_to_its_floor():
    config = TrainConfig(steps=100, learning_rate=1.0, warmup=9, schedule="cosine")
    assert [learning_rate(config, step) for step in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
    assert learning_rate(config, 100) == pytest.approx(FLOOR)
    rates = [learning_rate(config, step) for step in range(9, 101)]
    assert rates == sorted(rates, reverse=True)


def test_a_short_run_warms_up_for_a_tenth_of_it():
    config = TrainConfig(steps=20, learning_rate=1.0, warmup=200, schedule="constant")
    assert [learning_rate(config, step) for step in range(4)] == pytest.approx([1 / 3, 2 / 3, 1, 1])


def test_constant_stays():
    config = TrainConfig(steps=10, learning_rate=0.5, warmup=0, schedule="constant")
    assert {learning_rate(config, step) for step in range(10)} == {0.5}


def test_plateau_halves_after_five_validations_without_a_better_one():
    assert plateaus([0.1, 0.2, 0.2, 0.1, 0.2, 0.15]) == 0
    assert plateaus([0.1, 0.2, 0.2, 0.1, 0.2, 0.15, 0.19]) == 1
    assert plateaus([0.2] + [0.1] * 10) == 2
    config = TrainConfig(learning_rate=1.0, warmup=0, schedule="plateau")
    assert learning_rate(config, 500, [0.2] + [0.1] * 10) == 0.25


def test_the_paper_s_preset():
    paper = preset("paper")
    assert (paper.steps, paper.batch, paper.learning_rate, paper.negatives) == (146_000, 32, 1.6e-5, 0.0)
    assert (paper.schedule, paper.clip, paper.ema, paper.warmup) == ("plateau", None, 0.9999, 0)
    assert (paper.betas, paper.weight_decay, paper.validate_every) == ((0.9, 0.999), 0.01, 5_000)
    assert CROPS["paper"] == 1.0
    assert preset("paper", steps=7, batch=None).steps == 7


@pytest.mark.parametrize("change", [{"steps": 0}, {"negatives": 1.0}, {"learning_rate": 0.0}, {"ema": 1.0}])
def test_senseless_numbers_are_refused(change):
    with pytest.raises(UsageError, match=next(iter(change)).replace("_", "-")):
        TrainConfig(**change)


def test_an_unknown_preset_names_the_known_ones():
    with pytest.raises(UsageError, match="paper, miniature"):
        preset("fast")


def test_average_trails_with_the_authors_decay():
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, 1.0)
    ema = Ema(net, decay=0.9999)
    assert ema.net.weight.item() == 1.0  # starts as a copy
    nn.init.constant_(net.weight, 2.0)
    expected = 1.0
    for n in (1, 2, 3):
        ema.update(net)
        decay = (1 + n) / (10 + n)
        expected = decay * expected + (1 - decay) * 2.0
    torch.testing.assert_close(ema.net.weight.item(), expected)
    assert not ema.net.weight.requires_grad
