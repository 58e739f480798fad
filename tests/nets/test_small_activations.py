"""A wrong epsilon in a norm shows on small activations only: our blocks against diffusers' own, at 2e-3."""

from __future__ import annotations

import torch
from torch import nn

from ldznet_cli.nets import build_net, for_ldm
from tests.tiny import UNET_CONFIG


@torch.no_grad()
def test_plain_spatial_transformer() -> None:
    from diffusers.models.transformers.transformer_2d import Transformer2DModel

    ours = build_net(for_ldm(UNET_CONFIG, "znet")).eval().down_blocks[1].attentions[0]
    theirs = Transformer2DModel(2, 8, in_channels=16, cross_attention_dim=32, norm_num_groups=4).eval()
    theirs.load_state_dict(ours.state_dict())
    x, text = 2e-3 * torch.randn(2, 16, 6, 5), torch.randn(2, 7, 32)
    assert torch.allclose(ours(x, text, None), theirs(x, text).sample, atol=1e-6)


def test_epsilons() -> None:
    """Parity fact 6: GroupNorm 1e-5 in res-blocks and at the end, 1e-6 before a transformer; LayerNorm 1e-5."""
    net = build_net(for_ldm(UNET_CONFIG, "ldznet"))
    found = {name: m.eps for name, m in net.named_modules() if isinstance(m, nn.GroupNorm | nn.LayerNorm)}
    assert {eps for name, eps in found.items() if name.endswith(".norm")} == {1e-6}
    assert {eps for name, eps in found.items() if not name.endswith(".norm")} == {1e-5}
    assert any(name.endswith("norm_sd") for name in found)
