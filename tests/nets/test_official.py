"""The authors' names and checkpoints: nothing lost, nothing mistaken for something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ldznet_cli.errors import ModelError
from ldznet_cli.nets import NetConfig, NetInfo, build_net, for_ldm, load_net, paper, save_net
from ldznet_cli.nets.builders import read_unet_config
from ldznet_cli.nets.lightning import read_state_dict
from ldznet_cli.nets.numbering import attention_blocks
from ldznet_cli.nets.official import EMA_PREFIX, RAW_PREFIX, ema_name, import_official, official_names
from tests.nets.oracle import Oracle, distance
from tests.nets.sizes import inputs_for
from tests.tiny import UNET_CONFIG

SD_LIKE = {
    **UNET_CONFIG,
    "block_out_channels": (32, 32, 64),
    "norm_num_groups": 32,
    "attention_head_dim": 8,
}
FROZEN = "sd_features_stage_model.model.model.diffusion_model."


def checkpoint_of(config: NetConfig) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """Raw and averaged tensors under our names, and the checkpoint that holds both and frozen parts."""
    raw, ema = build_net(config, 1).state_dict(), build_net(config, 2).state_dict()
    names = official_names(config)
    held = {RAW_PREFIX + names[key]: value for key, value in raw.items()}
    held |= {ema_name(names[key]): value for key, value in ema.items()}
    held |= {EMA_PREFIX + "decay": torch.tensor(0.9999), EMA_PREFIX + "num_updates": torch.tensor(7)}
    held |= {FROZEN + names[key]: value * 3 for key, value in raw.items() if not key.startswith("final.")}
    held |= {"first_stage_model.encoder.conv_in.weight": torch.zeros(1), "betas": torch.zeros(1000)}
    return raw, ema, held


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_names_against_the_authors(oracle: Oracle) -> None:
    assert official_names(paper("ldznet")) == {key.ours: key.official for key in oracle.keys}
    assert {ema_name(key.official) for key in oracle.keys} == {key.ema for key in oracle.keys}


@pytest.mark.parametrize(
    "unet", [SD_LIKE, {**SD_LIKE, "layers_per_block": 1}, {**SD_LIKE, "layers_per_block": 3}]
)
def test_names_against_diffusers(unet: dict[str, Any]) -> None:
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    names = official_names(for_ldm(unet, "znet"))
    theirs = {RAW_PREFIX + name: name for name in names.values() if not name.startswith("final.")}
    converted = convert_ldm_unet_checkpoint(theirs, {"layers_per_block": unet["layers_per_block"]})
    assert converted == {key: name for key, name in names.items() if not key.startswith("final.")}


@pytest.mark.parametrize(("which", "index"), [("auto", 1), ("ema", 1), ("raw", 0)])
@pytest.mark.parametrize("kind", ["ldznet", "znet"])
def test_import_takes_the_net_alone(kind: Any, which: Any, index: int) -> None:
    config = for_ldm(SD_LIKE, kind)
    made = checkpoint_of(config)
    found = import_official(made[2], which)
    assert same(found.tensors, made[index])
    assert found.weights == ("ema", "raw")[1 - index]
    assert found.config.to_dict() == {
        **config.to_dict(),
        "positions": "count",
        "pool_latent": found.config.pool_latent,
    }
    assert found.ignored["frozen LDM"] == sum(key.startswith(FROZEN) for key in made[2])
    assert found.ignored["frozen first stage"] == found.ignored["noise schedule and others"] == 1
    assert sum(found.ignored.values()) + len(found.tensors) == len(made[2])


def test_bare_and_average_alone() -> None:
    raw, ema, held = checkpoint_of(for_ldm(SD_LIKE, "ldznet"))
    bare = {key.removeprefix(RAW_PREFIX): value for key, value in held.items() if key.startswith(RAW_PREFIX)}
    assert same(import_official(bare).tensors, raw)
    alone = {key: value for key, value in held.items() if key.startswith(EMA_PREFIX + "diffusion_model")}
    assert same(import_official(alone).tensors, ema)
    with pytest.raises(ModelError, match="averaged weights alone"):
        import_official(alone, "raw")
    with pytest.raises(ModelError, match="no averaged weights"):
        import_official(bare, "ema")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "middle_block.1.proj_in.weight",
            None,
            r"missing key model\.diffusion_model\.middle_block\.1\.proj_in\.weight",
        ),
        (
            "input_blocks.2.0.out_layers.3.weight",
            None,
            r"missing key .*input_blocks\.2\.0\.out_layers\.3\.weight of",
        ),
        (
            "middle_block.1.attentionpool2D.c_proj.bias",
            None,
            r"missing key .*attentionpool2D\.c_proj\.bias of shape",
        ),
        ("final.4.bias", torch.zeros(3), r"final\.4\.bias has shape \(3,\), expected \(1,\)"),
        ("out.2.bias", torch.zeros(4), r"out\.2\.bias has shape \(4,\), expected \(1,\)"),
        ("label_emb.0.0.weight", torch.zeros(3), r"unknown key model\.diffusion_model\.label_emb"),
    ],
)
def test_keys_that_do_not_fit(name: str, value: Tensor | None, message: str) -> None:
    held = checkpoint_of(for_ldm(SD_LIKE, "ldznet"))[2]
    if value is None:
        del held[RAW_PREFIX + name]
    else:
        held[RAW_PREFIX + name] = value
    with pytest.raises(ModelError, match=message):
        import_official(held, "raw")


def test_other_checkpoints_are_refused() -> None:
    held = checkpoint_of(for_ldm(SD_LIKE, "znet"))[2]
    sd = {key: value for key, value in held.items() if "final" not in key}
    for state in (sd, {"lora_unet_down.alpha": torch.ones(1)}, {}):
        with pytest.raises(ModelError, match="no segmentation net"):
            import_official(state)


def test_block_names_agree_with_the_frozen_ldm() -> None:
    from ldznet_cli.ldm import blocks
    from ldznet_cli.nets.numbering import paper_blocks

    for unet in (UNET_CONFIG, SD_LIKE, {**SD_LIKE, "layers_per_block": 3}):
        ours = read_unet_config(unet)
        assert [block.name for block in attention_blocks(ours)] == blocks.block_names(unet)
        assert paper_blocks(ours) == blocks.paper_blocks(unet)


@torch.no_grad()
@pytest.mark.parametrize(("which", "recorded"), [("auto", "ldznet_ema"), ("raw", "ldznet_raw")])
def test_from_checkpoint_file_to_recorded_logits(
    oracle: Oracle, tmp_path: Path, which: Any, recorded: str
) -> None:
    """The whole way: a Lightning file in the official layout → our folder → load_net → the authors' logits."""
    held: dict[str, Tensor] = {}
    for key in oracle.keys:
        held[RAW_PREFIX + key.official] = oracle.recipe.param("seg", key.official, key.small)
        held[key.ema] = oracle.recipe.param("seg_ema", key.official, key.small)
        if not key.official.startswith("final."):
            held[FROZEN + key.official] = oracle.recipe.param("sd", key.official, key.small)
    torch.save({"state_dict": held, "global_step": 146_000}, tmp_path / "net.ckpt")
    found = import_official(read_state_dict(tmp_path / "net.ckpt"), which)
    net = build_net(found.config)
    net.load_state_dict(found.tensors)
    info = NetInfo(found.config, "sd-v1-4", {}, {"kind": "official", "size": 384}, 0.5, (300, 500))
    save_net(tmp_path / "net", net, info)
    given = (
        oracle.inp("z/48x48", 2, 4, 48, 48),
        oracle.inp("ctx/48x48", 2, 77, 64),
        oracle.features("48x48/sd"),
    )
    logits = load_net(tmp_path / "net")(*given)
    if which == "raw":
        assert distance(logits[:, :, ::5, ::5], oracle.at_48[f"48x48/{recorded}/logits.slice"]) < 5e-4
    else:
        assert distance(logits, oracle.at_48[f"48x48/{recorded}/logits"]) < 5e-4


@torch.no_grad()
def test_imported_net_computes_what_the_saved_one_did() -> None:
    config = for_ldm(SD_LIKE, "ldznet", pool_latent=16)
    raw, _, held = checkpoint_of(config)
    net = build_net(import_official(held, "raw").config).eval()
    net.load_state_dict(raw)
    given = inputs_for(config, (16, 16))
    assert torch.allclose(net(*given), build_net(config, 1).eval()(*given), atol=1e-6)
