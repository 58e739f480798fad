"""Configurations: there and back, every kind of UNet, and the paper's blocks in each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ldznet_cli.errors import ModelError
from ldznet_cli.nets import NetConfig, for_ldm
from ldznet_cli.nets.builders import STABLE_DIFFUSION_1, paper, read_unet_config
from ldznet_cli.nets.numbering import attention_blocks, level_size, paper_blocks
from tests.tiny import UNET_CONFIG

SD14 = {
    "_class_name": "UNet2DConditionModel",
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": [320, 640, 1280, 1280],
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
    "layers_per_block": 2,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
    "downsample_padding": 1,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-05,
    "act_fn": "silu",
}


def test_sd14_is_the_paper() -> None:
    assert read_unet_config(SD14) == STABLE_DIFFUSION_1
    found = for_ldm(SD14, "ldznet")
    assert found.to_dict() == {**paper("ldznet").to_dict(), "positions": "grid"}


@pytest.mark.parametrize("kind", ["rgbnet", "znet", "ldznet"])
@pytest.mark.parametrize("unet", [SD14, UNET_CONFIG])
def test_json_round_trip(kind: Any, unet: dict[str, Any]) -> None:
    config = for_ldm(unet, kind, head_width=2)
    assert NetConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_blocks_of_stable_diffusion() -> None:
    blocks = attention_blocks(STABLE_DIFFUSION_1)
    assert [block.index for block in blocks] == list(range(16))
    assert paper_blocks(STABLE_DIFFUSION_1) == (5, 6, 7, 8, 9)
    assert [blocks[i].name for i in (5, 6, 7, 9, 10, 15)] == [
        "down_blocks.2.attentions.1",
        "mid_block.attentions.0",
        "up_blocks.1.attentions.0",
        "up_blocks.1.attentions.2",
        "up_blocks.2.attentions.0",
        "up_blocks.3.attentions.2",
    ]
    assert [level_size(48, block.level) for block in blocks[5:10]] == [12, 6, 12, 12, 12]


def test_odd_sizes_round_up() -> None:
    assert [level_size(13, level) for level in range(4)] == [13, 7, 4, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"addition_embed_type": "text_time"}, "addition_embed_type is 'text_time'"),
        ({"in_channels": 9}, "in_channels is 9"),
        ({"down_block_types": ["SimpleCrossAttnDownBlock2D"] * 3}, "SimpleCrossAttnDownBlock2D"),
        ({"cross_attention_dim": (32, 32, 64)}, "cross_attention_dim"),
        ({"attention_head_dim": 3}, "3 attention heads do not divide a width of 8"),
        ({"layers_per_block": [2, 2]}, "layers_per_block has 2 entries, expected 3"),
    ],
)
def test_unets_of_another_kind(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        for_ldm({**UNET_CONFIG, **change}, "znet")


@pytest.mark.parametrize(
    "change",
    [{"fusion": "concat"}, {"blocks": [5]}, {"head_width": 0}, {"stem": [8, 8, 8]}, {"positions": "rows"}],
)
def test_what_does_not_go_together(change: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="net configuration"):
        NetConfig.from_dict({**paper("znet").to_dict(), **change})
