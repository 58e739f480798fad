"""The nets as functions: sizes, batches, what they depend on, and what they say when inputs do not fit."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ldznet_cli.errors import ModelError
from ldznet_cli.nets import NetConfig, build_net, for_ldm, initialise
from ldznet_cli.nets.builders import paper
from ldznet_cli.nets.segmenters import skeleton
from tests.nets.sizes import inputs_for
from tests.tiny import UNET_CONFIG

KINDS: list[tuple[Any, Any]] = [
    ("rgbnet", None),
    ("znet", None),
    ("ldznet", "cross-attention"),
    ("ldznet", "concat"),
]
SHAPES = [(8, 8), (16, 16), (9, 13), (8, 21), (17, 10)]
SD2 = {**UNET_CONFIG, "use_linear_projection": True, "attention_head_dim": (1, 2, 4)}
DEEP = {
    **UNET_CONFIG,
    "block_out_channels": (8, 8, 16, 16),
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
}
TWO_LEVELS = {
    **UNET_CONFIG,
    "block_out_channels": (8, 16),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
}


@torch.no_grad()
@pytest.mark.parametrize(("kind", "fusion"), KINDS)
@pytest.mark.parametrize("size", SHAPES)
def test_any_size_and_a_batch_is_its_members(kind: Any, fusion: Any, size: tuple[int, int]) -> None:
    config = for_ldm(UNET_CONFIG, kind, fusion, head_width=3)
    net = build_net(config).eval()
    z, text, features = inputs_for(config, size, batch=3)
    whole = net(z, text, features)
    assert whole.shape == (3, 1, 8 * size[0], 8 * size[1])
    for i in range(3):
        alone = net(z[i : i + 1], text[i : i + 1], {k: v[i : i + 1] for k, v in features.items()})
        assert torch.allclose(alone, whole[i : i + 1], atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("unet", [SD2, DEEP, TWO_LEVELS, {**UNET_CONFIG, "transformer_layers_per_block": 2}])
@pytest.mark.parametrize("size", [(8, 8), (11, 9)])
def test_same_arithmetic_as_diffusers(unet: dict[str, Any], size: tuple[int, int]) -> None:
    """The U-Net with the LDM's own weights is the LDM's UNet at timestep 0, channel by channel."""
    from diffusers import UNet2DConditionModel

    theirs = UNet2DConditionModel(**unet).eval()
    config = for_ldm(unet, "znet", head_width=4)
    ours = build_net(config).eval()
    initialise(ours, theirs.state_dict(), 0)
    z, text, _ = inputs_for(config, size)
    assert torch.allclose(ours.coarse(z, text, {}), theirs(z, 0, text).sample, atol=1e-5)


@torch.no_grad()
def test_concat_starts_as_znet() -> None:
    config = for_ldm(UNET_CONFIG, "ldznet", "concat")
    given = inputs_for(config, (8, 8))
    znet = build_net(for_ldm(UNET_CONFIG, "znet"), 4).eval()
    assert torch.allclose(build_net(config, 4).eval()(*given), znet(*given), atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("fusion", ["cross-attention", "concat"])
def test_every_injected_block_counts(fusion: Any) -> None:
    config = for_ldm(UNET_CONFIG, "ldznet", fusion)
    net = build_net(config).eval()
    for name, value in net.named_parameters():
        if "fuse.weight" in name:
            value.add_(0.1)
    z, text, features = inputs_for(config, (8, 8))
    before = net(z, text, features)
    for index in config.blocks:
        assert not torch.equal(before, net(z, text, {**features, index: features[index] * 2})), index


@pytest.mark.parametrize(("kind", "fusion"), KINDS)
def test_every_parameter_learns(kind: Any, fusion: Any) -> None:
    config = for_ldm(UNET_CONFIG, kind, fusion, head_width=2)
    net = build_net(config)
    net(*inputs_for(config, (8, 8))).square().mean().backward()
    idle = [name for name, value in net.named_parameters() if value.grad is None]
    assert idle == []


@torch.no_grad()
def test_half_precision_features_are_welcome() -> None:
    config = for_ldm(UNET_CONFIG, "ldznet")
    net = build_net(config).eval()
    z, text, features = inputs_for(config, (8, 8))
    half = {index: value.half() for index, value in features.items()}
    assert torch.allclose(net(z, text, half), net(z, text, features), atol=1e-2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda z, t, f: (z, t, {}), "needs the LDM's feature of block"),
        (lambda z, t, f: (z, t, {i: v[:, :4] for i, v in f.items()}), "has batch and width"),
        (lambda z, t, f: (z, t[:, :, :16], f), "expects text of shape"),
        (lambda z, t, f: (z, t[:1], f), "expects text of shape"),
    ],
)
def test_inputs_that_do_not_fit(change: Any, message: str) -> None:
    config = for_ldm(UNET_CONFIG, "ldznet")
    with pytest.raises(ModelError, match=message):
        build_net(config)(*change(*inputs_for(config, (8, 8))))


def test_concat_wants_features_of_the_same_size() -> None:
    config = for_ldm(UNET_CONFIG, "ldznet", "concat")
    z, text, _ = inputs_for(config, (8, 8))
    with pytest.raises(ModelError, match="positions"):
        build_net(config)(z, text, inputs_for(config, (16, 16))[2])


def test_rgbnet_wants_whole_latent_positions() -> None:
    net = build_net(for_ldm(UNET_CONFIG, "rgbnet"))
    with pytest.raises(ModelError, match="multiples of 8"):
        net(torch.zeros(1, 3, 64, 65), torch.zeros(1, 7, 32))


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (paper("znet"), 859_512_376),
        (paper("ldznet"), 925_882_936),
        (paper("rgbnet"), 862_989_020),
        (paper("ldznet", "concat"), 875_902_776),
    ],
)
def test_parameter_counts_at_full_size(config: NetConfig, count: int) -> None:
    assert sum(p.numel() for p in skeleton(config).parameters()) == count


def test_printed_net_reads_like_documentation() -> None:
    net = build_net(for_ldm(UNET_CONFIG, "ldznet", head_width=3))
    text = repr(net)
    count = sum(p.numel() for p in net.parameters())
    begins = "ldznet: U-Net of 3 levels (8, 16, 16), text 32 wide, head 3 wide"
    assert f"{begins}, {count:,} parameters, LDM blocks (3, 4, 5, 6, 7) by cross-attention" in text
    feature = "LDM feature by cross-attention (positions of {}x{} resized by grid)"
    lines = [line.strip() for line in text.splitlines()]
    middle = lines.index("(mid_block): Middle(")
    assert lines[middle + 1 : middle + 5] == [
        "res-block 16 → 16",
        f"block 4: 16 wide, 2 heads, {feature.format(4, 4)}",
        "res-block 16 → 16",
        ")",
    ]
    assert lines.count("half the size") == lines.count("twice the size") == 2
    assert f"block 3: 16 wide, 2 heads, {feature.format(8, 8)}" in lines
    assert "block 0: 8 wide, 2 heads" in lines
    assert len(lines) < 80
