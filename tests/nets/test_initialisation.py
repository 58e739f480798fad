"""First values: what comes from the LDM, what is new, and that the same seed gives the same."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ldznet_cli.errors import ModelError
from ldznet_cli.nets import build_net, for_ldm, initialise
from ldznet_cli.nets.initialisation import fresh, is_added
from tests.tiny import UNET_CONFIG


@pytest.fixture(scope="module")
def ldm() -> dict[str, Tensor]:
    from diffusers import UNet2DConditionModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return dict(UNet2DConditionModel(**UNET_CONFIG).state_dict())


@pytest.mark.parametrize(("kind", "width"), [("znet", 1), ("ldznet", 1), ("rgbnet", 3), ("ldznet", 6)])
def test_every_key_is_accounted_for(ldm: dict[str, Tensor], kind: Any, width: int) -> None:
    net = build_net(for_ldm(UNET_CONFIG, kind, head_width=width), 1)
    report = initialise(net, ldm, 2)
    rows = min(width, 4)
    state = net.state_dict()
    for key, value in state.items():
        if is_added(key):
            assert key in report.new
        elif key.startswith("conv_out."):
            assert torch.equal(value[:rows], ldm[key][:rows])
            assert f"{key}[0:{rows}]" in report.taken
        else:
            assert torch.equal(value, ldm[key])
            assert key in report.taken
    assert {name.partition("[")[0] for name in (*report.taken, *report.new)} == set(state)
    kept = [] if rows == 4 else [f"conv_out.weight[{rows}:4]", f"conv_out.bias[{rows}:4]"]
    assert list(report.dropped) == kept


def test_same_seed_same_values_whatever_else_happens(ldm: dict[str, Tensor]) -> None:
    config = for_ldm(UNET_CONFIG, "ldznet")
    torch.manual_seed(1)
    state = torch.get_rng_state()
    a, b, c = (build_net(config, seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert not torch.equal(a["final.0.weight"], c["final.0.weight"])
    znet = build_net(for_ldm(UNET_CONFIG, "znet"), 3).state_dict()
    assert all(torch.equal(value, a[key]) for key, value in znet.items())


@pytest.mark.parametrize("make", [nn.Linear, nn.Conv2d, nn.ConvTranspose2d])
def test_random_values_are_pytorch_defaults(make: Any) -> None:
    """Same bounds as the module's own, reached within a hundredth by thousands of draws."""
    module = make(24, 40) if make is nn.Linear else make(24, 40, 3)
    shapes = {f"x.{name}": tuple(value.shape) for name, value in module.named_parameters()}
    for seed in range(3):
        weight = fresh("x.weight", shapes, seed)
        own = module.weight.detach().abs().max()
        assert float(weight.abs().max() / own) == pytest.approx(1, abs=0.01)
        assert float(weight.mean().abs()) < 0.05 * float(own)
        assert float(fresh("x.bias", shapes, seed).abs().max()) <= float(own) * 1.01


def test_norms_and_positions() -> None:
    shapes = {"n.weight": (8,), "n.bias": (8,), "p.positional_embedding": (64, 145)}
    assert torch.equal(fresh("n.weight", shapes, 0), torch.ones(8))
    assert torch.equal(fresh("n.bias", shapes, 0), torch.zeros(8))
    assert float(fresh("p.positional_embedding", shapes, 0).std()) == pytest.approx(
        1 / math.sqrt(64), rel=0.05
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("conv_in.weight"), r"the LDM's UNet: missing key conv_in\.weight"),
        (
            lambda s: s.update({"conv_in.weight": torch.zeros(8, 9, 3, 3)}),
            r"conv_in\.weight has shape \(8, 9, 3, 3\)",
        ),
        (lambda s: s.update({"add_embedding.weight": torch.zeros(1)}), r"unknown key add_embedding\.weight"),
    ],
)
def test_another_unet_is_refused(ldm: dict[str, Tensor], change: Any, message: str) -> None:
    state = dict(ldm)
    change(state)
    with pytest.raises(ModelError, match=message):
        initialise(build_net(for_ldm(UNET_CONFIG, "znet")), state, 0)
