"""Blocks are found from the UNet itself, and a cut UNet gives the same bits as the whole one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from ldznet_cli.errors import ModelError, UsageError
from ldznet_cli.ldm import FrozenLDM, packing
from ldznet_cli.ldm.blocks import block_names, choose_blocks, cut_after, paper_blocks
from ldznet_cli.ldm.packing import can_pack
from tests.tiny import UNET_CONFIG
from tests.tiny import tiny_ldm as build

SD1: dict[str, Any] = {
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
    "block_out_channels": [320, 640, 1280, 1280],
    "layers_per_block": 2,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
SD2 = {
    **SD1,
    "cross_attention_dim": 1024,
    "attention_head_dim": [5, 10, 20, 20],
    "use_linear_projection": True,
}
SHALLOW = {
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
    "block_out_channels": [32, 32],
    "layers_per_block": 1,
    "cross_attention_dim": 16,
}
DEEP = {**SD1, "block_out_channels": [32, 32, 32, 32], "layers_per_block": [1, 2, 3, 1]}
BLOCKS = 11


def on_meta(config: dict[str, Any]) -> Any:
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        return UNet2DConditionModel(**config)


def attention_blocks(unet: Any) -> list[str]:
    """The same by another way: what the modules of a UNet are, in the order of the forward pass."""
    from diffusers.models.transformers.transformer_2d import Transformer2DModel

    def place(name: str) -> tuple[int, ...]:
        way, *numbers = (part for part in name.split(".") if part != "attentions")
        return (("down_blocks", "mid_block", "up_blocks").index(way), *map(int, numbers))

    return sorted(
        (n for n, module in unet.named_modules() if isinstance(module, Transformer2DModel)), key=place
    )


@pytest.mark.parametrize(
    ("config", "count", "paper"),
    [
        (SD1, 16, (5, 6, 7, 8, 9)),
        (SD2, 16, (5, 6, 7, 8, 9)),
        (UNET_CONFIG, BLOCKS, (3, 4, 5, 6, 7)),
        (SHALLOW, 4, (0, 1, 2, 3)),
        (DEEP, 16, (5, 6, 7, 8, 9)),
    ],
    ids=["sd1", "sd2", "tiny", "shallow", "deep"],
)
def test_numbers_and_the_papers_choice(config: dict[str, Any], count: int, paper: tuple[int, ...]) -> None:
    from_module = attention_blocks(on_meta(config))
    assert from_module == block_names(config)
    assert len(from_module) == count
    assert paper_blocks(config) == paper


def test_where_stable_diffusions_blocks_sit() -> None:
    names = block_names(SD1)
    assert names[5:10] == [
        "down_blocks.2.attentions.1",
        "mid_block.attentions.0",
        *(f"up_blocks.1.attentions.{i}" for i in range(3)),
    ]


def test_full_size_and_what_the_cut_saves() -> None:
    unet = on_meta(SD1)
    assert sum(p.numel() for p in unet.parameters()) == 859_520_964
    cut_after(unet, block_names(SD1)[9])
    assert sum(p.numel() for p in unet.parameters()) < 0.88 * 859_520_964


def test_a_unet_without_attention_on_the_way_up_has_no_papers_blocks() -> None:
    with pytest.raises(ModelError, match="name the blocks yourself"):
        paper_blocks({**SHALLOW, "up_block_types": ["UpBlock2D", "UpBlock2D"]})


@pytest.mark.parametrize("wrong", [[BLOCKS], [-1]])
def test_blocks_that_are_not_there(wrong: Any) -> None:
    with pytest.raises(UsageError, match="0 to 10"):
        choose_blocks(UNET_CONFIG, wrong)


@pytest.fixture(scope="module")
def sample() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """z, text, timestep, noise; the latent's sides are odd, which makes diffusers pass sizes on the way up."""
    generator = torch.Generator().manual_seed(0)
    z, noise = (torch.randn(2, 4, 9, 14, generator=generator) for _ in range(2))
    return z, torch.randn(2, 24, 32, generator=generator), torch.tensor([310, 480]), noise


@pytest.fixture(scope="module")
def whole(tiny_ldm: Path, sample: Any) -> dict[int, torch.Tensor]:
    return FrozenLDM.load(tiny_ldm, blocks=None).features(*sample)


@pytest.mark.parametrize("last", range(BLOCKS))
def test_cut_after_any_block_equals_the_full_pass(
    tiny_ldm: Path, sample: Any, whole: dict[int, torch.Tensor], last: int
) -> None:
    cut = FrozenLDM.load(tiny_ldm, blocks=range(last + 1))
    features = cut.features(*sample)
    assert tuple(features) == cut.blocks == tuple(range(last + 1))
    assert all(torch.equal(feature, whole[index]) for index, feature in features.items())


@pytest.mark.parametrize("chosen", [[4], [6, 2], [10, 0], [9, 3, 3], [8]], ids=str)
def test_any_choice_equals_the_full_pass(
    tiny_ldm: Path, sample: Any, whole: dict[int, torch.Tensor], chosen: list[int]
) -> None:
    features = FrozenLDM.load(tiny_ldm, blocks=chosen).features(*sample)
    assert list(features) == sorted(set(chosen))
    assert all(torch.equal(feature, whole[index]) for index, feature in features.items())


@pytest.mark.skipif(not can_pack(torch.float32), reason="weights are packed on x86 processors alone")
@pytest.mark.parametrize("last", [0, 4, 7, BLOCKS - 1])
def test_packed_as_a_large_unet_is_the_cut_one_equals_the_full_one(
    tiny_ldm: Path, sample: Any, whole: dict[int, torch.Tensor], last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "LARGE", 0)
    full, cut = (FrozenLDM.load(tiny_ldm, blocks=blocks) for blocks in (None, range(last + 1)))
    assert full.unet is not None
    assert any(isinstance(part, packing.PackedConv2d) for part in full.unet.unet.modules())
    expected = full.features(*sample)
    for index, feature in cut.features(*sample).items():
        assert torch.equal(feature, expected[index])
        torch.testing.assert_close(feature, whole[index], atol=1e-4, rtol=1e-4)


def test_what_comes_after_the_last_block_is_not_in_memory(tiny_ldm: Path) -> None:
    unets = [FrozenLDM.load(tiny_ldm, blocks=blocks).unet for blocks in ([0], [4], [7], None)]
    keys = [set(unet.unet.state_dict()) for unet in unets if unet]
    assert keys[0] < keys[1] < keys[2] < keys[3]
    assert not any(key.startswith(("up_blocks", "mid_block", "conv_out")) for key in keys[0])
    assert not any(key.startswith(("up_blocks.2", "conv_out", "conv_norm_out")) for key in keys[2])


def test_only_a_whole_unet_predicts_noise(tiny_ldm: Path, sample: Any) -> None:
    z, text, timestep, _ = sample
    with pytest.raises(ModelError, match="load with blocks=None"):
        FrozenLDM.load(tiny_ldm).predict_noise(z, text, timestep)
    with pytest.raises(ModelError, match="load with blocks=None"):
        FrozenLDM.load(tiny_ldm, blocks=range(BLOCKS)).predict_noise(z, text, timestep)


def test_linear_projections_and_heads_by_level_as_in_stable_diffusion_2(tmp_path: Path, sample: Any) -> None:
    folder = build(tmp_path, unet={"use_linear_projection": True, "attention_head_dim": (1, 2, 4)})
    full, cut = FrozenLDM.load(folder, blocks=None), FrozenLDM.load(folder)
    expected = full.features(*sample)
    assert all(torch.equal(feature, expected[index]) for index, feature in cut.features(*sample).items())
