"""Checkpoints as the authors' training writes them: raw and averaged weights, frozen parts, buffers."""

from __future__ import annotations

import torch
from torch import Tensor

from ldznet_cli.ldm.layout import EMA, FROZEN, RAW, ema_name
from ldznet_cli.nets import NetConfig, build_net
from ldznet_cli.nets.official import official_names
from tests.nets.oracle import Oracle
from tests.tiny import UNET_CONFIG, drawn

SD_LIKE = {
    **UNET_CONFIG,
    "block_out_channels": (32, 32, 64),
    "norm_num_groups": 32,
    "attention_head_dim": 8,
}
"""The tiny LDM's UNet with Stable Diffusion's own numbers of heads and groups."""


def checkpoint_of(config: NetConfig) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """Raw and averaged tensors under our names, and the checkpoint that holds both and frozen parts."""
    raw, ema = build_net(config, 1).state_dict(), build_net(config, 2).state_dict()
    names = official_names(config)
    held = {RAW + names[key]: value for key, value in raw.items()}
    held |= {ema_name(names[key]): value for key, value in ema.items()}
    held |= {EMA + "decay": torch.tensor(0.9999), EMA + "num_updates": torch.tensor(7)}
    held |= {FROZEN + names[key]: value * 3 for key, value in raw.items() if not key.startswith("final.")}
    held |= {"first_stage_model.encoder.conv_in.weight": torch.zeros(1), "betas": torch.zeros(1000)}
    return raw, ema, held


def recorded_checkpoint(oracle: Oracle) -> dict[str, Tensor]:
    """LD-ZNet's, of the parity recipe's weights, beside its frozen UNet."""
    held: dict[str, Tensor] = {}
    for key in oracle.keys:
        held[RAW + key.official] = oracle.recipe.param("seg", key.official, key.small)
        held[key.ema] = oracle.recipe.param("seg_ema", key.official, key.small)
        if not key.official.startswith("final."):
            held[FROZEN + key.official] = oracle.recipe.param("sd", key.official, key.small)
    return held


def drawn_checkpoint(config: NetConfig) -> dict[str, Tensor]:
    """The same layout, each tensor a function of its name alone: our own recipe, for our own goldens."""
    shapes = build_net(config).state_dict()
    held: dict[str, Tensor] = {}
    for key, official in official_names(config).items():
        shape = tuple(shapes[key].shape)
        held[RAW + official] = drawn(f"net/{official}", shape).float()
        held[ema_name(official)] = drawn(f"net_ema/{official}", shape).float()
    return held
