"""The parity oracle's LDM as a diffusers folder: the recipe's weights, through diffusers' own converters."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tests.tiny import SCHEDULER_CONFIG

UNET_CONFIG: dict[str, Any] = {
    "sample_size": 64,
    "block_out_channels": (32, 64, 128, 128),
    "cross_attention_dim": 64,
    "attention_head_dim": 8,
    "layers_per_block": 2,
}
VAE_CONFIG: dict[str, Any] = {
    "block_out_channels": (32, 64, 128, 128),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 512,
    "scaling_factor": 0.18215,
}


def load_recipe(parity: Path) -> Any:
    """The stand-alone module that makes each weight and input from its name."""
    spec = importlib.util.spec_from_file_location("parity_recipe", parity / "recipe.py")
    assert spec is not None
    assert spec.loader is not None
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    return recipe


def write_official_ldm(parity: Path, folder: Path) -> Path:
    """UNet, first stage and schedule of the oracle's small configuration; it has no text encoder."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from diffusers.loaders import single_file_utils as converters

    recipe = load_recipe(parity)
    unet, vae = UNet2DConditionModel(**UNET_CONFIG), AutoencoderKL(**VAE_CONFIG)
    official = official_unet(parity)
    _save(converters.convert_ldm_unet_checkpoint(official, unet.config), unet, folder / "unet")
    official = {"first_stage_model." + key: recipe.param("vae", key, shape) for key, shape in vae_shapes(vae)}
    _save(converters.convert_ldm_vae_checkpoint(official, vae.config), vae, folder / "vae")
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULER_CONFIG))
    return folder


def official_unet(parity: Path) -> dict[str, torch.Tensor]:
    """The oracle's frozen UNet as it is in a checkpoint."""
    recipe = load_recipe(parity)
    shapes = _unet_shapes(parity)
    return {"model.diffusion_model." + key: recipe.param("sd", key, shape) for key, shape in shapes.items()}


def _save(tensors: dict[str, torch.Tensor], model: Any, folder: Path) -> None:
    """Converted weights must be exactly the model's: nothing left over, nothing left out."""
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    assert {key: tuple(value.shape) for key, value in tensors.items()} == shapes
    model.save_config(folder)
    contiguous = {key: value.contiguous() for key, value in tensors.items()}
    save_file(contiguous, folder / "diffusion_pytorch_model.safetensors")


def _unet_shapes(parity: Path) -> dict[str, tuple[int, ...]]:
    """Official key → shape of Stable Diffusion's own 686 tensors; keymap.csv lists LD-ZNet's 760."""
    with (parity / "keymap.csv").open(newline="") as file:
        rows = [list(row.values()) for row in csv.DictReader(file)]
    shapes = {row[0]: tuple(map(int, row[3].split("x"))) for row in rows if row[5] == "unet"}
    width = shapes["out.2.weight"][1:]
    return {**shapes, "out.2.weight": (4, *width), "out.2.bias": (4,)}


def vae_shapes(vae: Any) -> list[tuple[str, tuple[int, ...]]]:
    """Official key and shape of each tensor of the first stage: the converter's way back, which it then proves."""
    shapes = []
    for key, value in vae.state_dict().items():
        official = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", key)
        official = re.sub(r"up_blocks\.(\d)", lambda m: f"up.{3 - int(m[1])}", official)
        for new, old in _VAE_NAMES:
            official = official.replace(new, old)
        is_attention_matrix = ".attn_1." in official and value.ndim == 2
        shapes.append((official, (*value.shape, 1, 1) if is_attention_matrix else tuple(value.shape)))
    return shapes


_VAE_NAMES = (
    ("down_blocks", "down"),
    ("mid_block.attentions.0", "mid.attn_1"),
    ("group_norm", "norm"),
    ("to_out.0", "proj_out"),
    ("to_q", "q"),
    ("to_k", "k"),
    ("to_v", "v"),
    ("resnets", "block"),
    ("conv_shortcut", "nin_shortcut"),
    ("downsamplers.0", "downsample"),
    ("upsamplers.0", "upsample"),
    ("conv_norm_out", "norm_out"),
)
