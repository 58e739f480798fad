"""The nets against numbers recorded from the authors' own (tolerances: parity/README.md)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, silu

from ldznet_cli.nets.builders import paper
from ldznet_cli.nets.segmenters import SegmentationNet, skeleton
from tests.nets.oracle import BLOCKS, Oracle, distance

LDZNET, ZNET, COARSE = 5e-4, 2e-3, 1e-4
LDZNET_STAGES = {5: "down_blocks.2.attentions.1", 6: "mid_block.attentions.0"} | {
    i: f"up_blocks.1.attentions.{i - 7}" for i in (7, 8, 9)
}


@pytest.fixture(scope="module")
def inputs(oracle: Oracle) -> tuple[Tensor, Tensor, dict[int, Tensor]]:
    return (
        oracle.inp("z/48x48", 2, 4, 48, 48),
        oracle.inp("ctx/48x48", 2, 77, 64),
        oracle.features("48x48/sd"),
    )


@pytest.fixture(scope="module")
def ldznet(oracle: Oracle) -> SegmentationNet:
    return oracle.net("ldznet", "seg_ema")


def test_every_key_and_shape_at_full_size(oracle: Oracle) -> None:
    found = {key: tuple(value.shape) for key, value in skeleton(paper("ldznet")).state_dict().items()}
    assert found == {key.ours: key.full for key in oracle.keys}


def test_parameter_counts_of_the_small_nets(oracle: Oracle) -> None:
    counts = {
        kind: sum(p.numel() for p in oracle.net(kind, kind).parameters()) for kind in ("ldznet", "znet")
    }
    assert counts == {"ldznet": 9_343_288, "znet": 8_604_472}


@torch.no_grad()
def test_ldznet_logits_pools_and_third_attention(
    oracle: Oracle, ldznet: SegmentationNet, inputs: tuple
) -> None:
    seen: dict[str, Tensor] = {}
    hooks = []
    for i, name in LDZNET_STAGES.items():
        block = ldznet.get_submodule(name)
        for part, module in (("pool", block.attentionpool2D), ("attn3", block.transformer_blocks[0].attn3)):
            hooks.append(
                module.register_forward_hook(lambda _m, _i, out, at=f"{part}.{i}": seen.update({at: out}))
            )
    logits = ldznet(*inputs)
    for hook in hooks:
        hook.remove()
    assert distance(logits, oracle.at_48["48x48/ldznet_ema/logits"]) < LDZNET
    assert sorted(seen) == sorted(f"{part}.{i}" for part in ("pool", "attn3") for i in BLOCKS)
    for name, value in seen.items():
        assert distance(value, oracle.at_48[f"48x48/ldznet_ema/{name}"]) < LDZNET, name


@torch.no_grad()
def test_ldznet_block_outputs(oracle: Oracle, ldznet: SegmentationNet, inputs: tuple) -> None:
    """All sixteen, as recorded: every fourth channel and every third position."""
    seen: dict[int, Tensor] = {}
    for module in (found := [m for m in ldznet.modules() if hasattr(m, "block")]):
        module.register_forward_hook(lambda m, _i, out: seen.update({m.block.index: out}))
    ldznet(*inputs)
    for module in found:
        module._forward_hooks.clear()
    assert sorted(seen) == list(range(16))
    for i, value in seen.items():
        recorded = oracle.at_48[f"48x48/ldznet_ema/feat.{i}.slice"]
        assert distance(value[:, ::4, ::3, ::3], recorded) < LDZNET, i


@torch.no_grad()
@pytest.mark.parametrize(("namespace", "recorded"), [("seg_ema", "ldznet_ema"), ("seg", "ldznet_raw")])
def test_map_before_the_head(oracle: Oracle, inputs: tuple, namespace: str, recorded: str) -> None:
    coarse = oracle.net("ldznet", namespace).coarse(*inputs)
    assert distance(silu(coarse), oracle.at_48[f"48x48/{recorded}/out"]) < COARSE


@torch.no_grad()
def test_raw_weights(oracle: Oracle, inputs: tuple) -> None:
    logits = oracle.net("ldznet", "seg")(*inputs)
    assert distance(logits[:, :, ::5, ::5], oracle.at_48["48x48/ldznet_raw/logits.slice"]) < LDZNET


@torch.no_grad()
def test_znet_logits(oracle: Oracle, inputs: tuple) -> None:
    logits = oracle.net("znet", "znet_ema")(*inputs)
    assert distance(logits, oracle.at_48["48x48/znet_ema/logits"]) < ZNET


@torch.no_grad()
@pytest.mark.parametrize("size", ["384x384", "256x576"])
def test_from_recorded_z_and_features(oracle: Oracle, ldznet: SegmentationNet, size: str) -> None:
    """256x576 has as many tokens as 384x384, and so the positional embedding of 12x12 as it is (fact 5)."""
    logits = ldznet(
        oracle.pipeline[f"e2e/{size}/z"],
        oracle.inp(f"ctx/e2e/{size}", 1, 77, 64),
        oracle.features(f"e2e/{size}"),
    )
    assert distance(logits, oracle.pipeline[f"e2e/{size}/logits"]) < LDZNET


def test_gradients_of_one_loss(oracle: Oracle, inputs: tuple) -> None:
    """Binary cross-entropy, raw weights, against the mask where the uniform noise is above 0.3."""
    net = oracle.net("ldznet", "seg")
    noise = oracle.recipe.uniform_torch("in", "mask/48x48", (2, 1, 384, 384))
    binary_cross_entropy_with_logits(net(*inputs), (noise > 0.3).float()).backward()
    ours = {key.official: key.ours for key in oracle.keys}
    recorded = {n.removeprefix("grad/"): g for n, g in oracle.pipeline.items() if n.startswith("grad/")}
    assert len(recorded) == 10
    for name, gradient in recorded.items():
        found = net.get_parameter(ours[name]).grad
        assert found is not None
        assert distance(found, gradient) < 1e-3 * float(gradient.abs().max()), name
