"""Single-file Stable Diffusion checkpoints of a small size, and the diffusers tensors that they must become."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ldznet_cli.ldm.layout import EMA, RAW, ema_name
from ldznet_cli.ldm.noise import Schedule
from ldznet_cli.ldm.single_file import SCHEDULER
from ldznet_cli.nets.builders import read_unet_config
from ldznet_cli.nets.official import official_name
from tests.ldm.official import vae_shapes
from tests.tiny import MERGES, drawn

WIDTH, LENGTH = 64, 24
UNET: dict[str, Any] = {
    "block_out_channels": (64, 128, 128),
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    "layers_per_block": 1,
    "cross_attention_dim": WIDTH,
}
HEADS: dict[str, dict[str, Any]] = {
    "1.x": {"attention_head_dim": 8, "sample_size": 64},
    "2.x": {"attention_head_dim": [1, 2, 2], "use_linear_projection": True, "sample_size": 96},
}
VAE: dict[str, Any] = {
    "block_out_channels": (32, 32, 32, 32),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 1,
    "latent_channels": 4,
    "sample_size": 512,
    "scaling_factor": 0.18215,
}


@dataclass(frozen=True)
class SingleFile:
    """`state` is what the file holds; `parts` the models that it describes, with their weights; `ema` the average."""

    state: dict[str, Tensor]
    parts: dict[str, Any]
    ema: dict[str, Tensor]


def single_file(version: Literal["1.x", "2.x"] = "1.x") -> SingleFile:
    """Raw and averaged weights, first stage, text encoder and buffers, as in sd-v1-4-full-ema.ckpt."""
    from diffusers import AutoencoderKL, UNet2DConditionModel

    config = {**UNET, **HEADS[version]}
    unet, vae = _drawn(UNet2DConditionModel(**config), "unet"), _drawn(AutoencoderKL(**VAE), "vae")
    text = _drawn(_text_model(version), "text")
    average = {key: value + 1 for key, value in unet.state_dict().items()}
    ours = read_unet_config(config)
    state = {RAW + official_name(key, ours): value for key, value in unet.state_dict().items()}
    state |= {ema_name(official_name(key, ours)): value for key, value in average.items()}
    state |= {EMA + "decay": torch.tensor(0.9999), EMA + "num_updates": torch.tensor(7)}
    for (official, shape), value in zip(vae_shapes(vae), vae.state_dict().values(), strict=True):
        state["first_stage_model." + official] = value.reshape(shape)
    state |= _clip(text) if version == "1.x" else _open_clip(text)
    state["alphas_cumprod"] = Schedule.from_config(SCHEDULER).alphas_cumprod.float()
    return SingleFile(state, {"unet": unet, "vae": vae, "text_encoder": text}, average)


def _drawn(model: Any, name: str) -> Any:
    values = {
        key: drawn(f"{name}/{key}", tuple(value.shape)).float() for key, value in model.state_dict().items()
    }
    model.load_state_dict(values)
    return model.eval()


def _text_model(version: str) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    size = 512 + len(MERGES) + 2
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=size,
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_hidden_layers=2,
            num_attention_heads=1,
            max_position_embeddings=LENGTH,
            hidden_act="quick_gelu" if version == "1.x" else "gelu",
            bos_token_id=size - 2,
            eos_token_id=size - 1,
        )
    )


def _clip(text: Any) -> dict[str, Tensor]:
    prefix = "cond_stage_model.transformer.text_model."
    held = {prefix + key: value for key, value in text.state_dict().items()}
    return {**held, prefix + "embeddings.position_ids": torch.arange(LENGTH)[None]}


def _open_clip(text: Any) -> dict[str, Tensor]:
    """OpenCLIP's names; queries, keys and values are one matrix; one more layer, which nobody reads."""
    ours, held = text.state_dict(), {}
    for layer in range(3):
        given = f"encoder.layers.{min(layer, 1)}."
        name = f"transformer.resblocks.{layer}."
        for kind in ("weight", "bias"):
            parts = [ours[f"{given}self_attn.{part}_proj.{kind}"] for part in "qkv"]
            held[f"{name}attn.in_proj_{kind}"] = torch.cat(parts)
            for theirs, mine in _OPEN_CLIP.items():
                held[f"{name}{theirs}.{kind}"] = ours[f"{given}{mine}.{kind}"]
    held["token_embedding.weight"] = ours["embeddings.token_embedding.weight"]
    held["positional_embedding"] = ours["embeddings.position_embedding.weight"]
    held |= {f"ln_final.{kind}": ours[f"final_layer_norm.{kind}"] for kind in ("weight", "bias")}
    held |= {"text_projection": torch.ones(WIDTH, WIDTH), "logit_scale": torch.tensor(1.0)}
    return {f"cond_stage_model.model.{key}": value for key, value in held.items()}


_OPEN_CLIP = {
    "attn.out_proj": "self_attn.out_proj",
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
