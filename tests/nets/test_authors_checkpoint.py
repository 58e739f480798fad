"""The authors' checkpoints: nothing lost, nothing mistaken for something else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ldznet_cli.errors import ModelError
from ldznet_cli.ldm.layout import EMA, FROZEN, RAW
from ldznet_cli.nets import build_net, for_ldm
from ldznet_cli.nets.authors_checkpoint import import_official, same_frozen_unet
from ldznet_cli.nets.builders import read_unet_config
from ldznet_cli.nets.segmenters import skeleton
from tests.nets.authors import SD_LIKE, checkpoint_of
from tests.nets.sizes import inputs_for


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


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
    left = {ignored.what: ignored.count for ignored in found.ignored}
    assert left["frozen UNet"] == sum(key.startswith(FROZEN) for key in made[2])
    assert left["frozen first stage"] == left["noise schedule and others"] == 1
    assert left["counters of the average"] == 2
    assert sum(left.values()) + len(found.tensors) == len(made[2])


def test_bare_and_average_alone() -> None:
    raw, ema, held = checkpoint_of(for_ldm(SD_LIKE, "ldznet"))
    bare = {key.removeprefix(RAW): value for key, value in held.items() if key.startswith(RAW)}
    assert same(import_official(bare).tensors, raw)
    alone = {key: value for key, value in held.items() if key.startswith(EMA + "diffusion_model")}
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
        del held[RAW + name]
    else:
        held[RAW + name] = value
    with pytest.raises(ModelError, match=message):
        import_official(held, "raw")


def test_other_checkpoints_are_refused() -> None:
    held = checkpoint_of(for_ldm(SD_LIKE, "znet"))[2]
    sd = {key: value for key, value in held.items() if "final" not in key}
    with pytest.raises(ModelError, match="a net of ldznet's own: its folder is what --model takes"):
        import_official(skeleton(for_ldm(SD_LIKE, "znet")).state_dict())
    for state in (sd, {"lora_unet_down.alpha": torch.ones(1)}, {}):
        with pytest.raises(ModelError, match="no segmentation net"):
            import_official(state)


@torch.no_grad()
def test_imported_net_computes_what_the_saved_one_did() -> None:
    config = for_ldm(SD_LIKE, "ldznet", pool_latent=16)
    raw, _, held = checkpoint_of(config)
    net = build_net(import_official(held, "raw").config).eval()
    net.load_state_dict(raw)
    given = inputs_for(config, (16, 16))
    assert torch.allclose(net(*given), build_net(config, 1).eval()(*given), atol=1e-6)


def test_bare_beside_frozen_parts() -> None:
    """A bare state dict may stand beside frozen parts, whose keys are not the net's."""
    raw, _, held = checkpoint_of(for_ldm(SD_LIKE, "ldznet"))
    mixed = {key: value for key, value in held.items() if key.startswith((FROZEN, "first_stage_model."))}
    mixed |= {key.removeprefix(RAW): value for key, value in held.items() if key.startswith(RAW)}
    found = import_official(mixed)
    assert same(found.tensors, raw)
    assert found.weights == "bare"


def test_the_ldm_tells_what_tensors_do_not() -> None:
    unet = read_unet_config({**SD_LIKE, "attention_head_dim": 4, "norm_num_groups": 8})
    held = checkpoint_of(for_ldm(SD_LIKE, "znet"))[2]
    assert import_official(held, ldm_unet=unet).config.unet == unet
    other = read_unet_config({**SD_LIKE, "cross_attention_dim": 48})
    with pytest.raises(ModelError, match=r"net has cross_attention_dim 32, the UNet of --ldm 48"):
        import_official(held, ldm_unet=other)


def test_the_frozen_unet_inside() -> None:
    unet = read_unet_config(SD_LIKE)
    raw, _, held = checkpoint_of(for_ldm(SD_LIKE, "znet"))
    ldm = {key: value * 3 for key, value in raw.items() if not key.startswith("final.")}
    assert same_frozen_unet(held, unet, ldm) is True
    half = {key: value.half() for key, value in ldm.items()}
    assert same_frozen_unet(held, unet, half) is True
    assert same_frozen_unet(held, unet, {**ldm, "conv_in.bias": ldm["conv_in.bias"] + 1}) is False
    without = {key: value for key, value in held.items() if not key.startswith(FROZEN)}
    assert same_frozen_unet(without, unet, ldm) is None


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("lora_unet_down_blocks_0.lora_down.weight", "LoRA"),
        ("conditioner.embedders.0.transformer.text_model.x", "Stable Diffusion XL"),
        ("model.diffusion_model.joint_blocks.0.x", "Stable Diffusion 3"),
        (
            "model.diffusion_model.input_blocks.0.0.weight",
            "Stable Diffusion: that is for `ldznet weights import-ldm`",
        ),
        ("down_blocks.0.resnets.0.conv1.weight", "diffusers' names"),
        ("something", "unknown, with keys such as something"),
    ],
)
def test_what_else_it_may_be(key: str, kind: str) -> None:
    with pytest.raises(ModelError, match="no segmentation net in it") as caught:
        import_official({key: torch.zeros(1)}, where="file.ckpt")
    assert kind in str(caught.value)
    assert str(caught.value).startswith("file.ckpt")
