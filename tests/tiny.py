"""A random latent diffusion model of Stable Diffusion's shape, small enough to be made anew in every test
run.

The folder is an ordinary diffusers pipeline folder of about 1 MB: a first stage with 8x reduction and 4
latent channels, a UNet with cross-attention at two levels and one plain level, a CLIP text encoder over a
byte-level vocabulary, Stable Diffusion's noise schedule. Its weights mean nothing, but each input reaches the
output.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import save_file

UNET_CONFIG: dict[str, Any] = {
    "sample_size": 16,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (8, 16, 16),
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    "layers_per_block": 2,
    "cross_attention_dim": 32,
    "attention_head_dim": 2,
    "norm_num_groups": 4,
}
SCHEDULER_CONFIG = {
    "_class_name": "PNDMScheduler",
    "_diffusers_version": "0.42.1",
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "skip_prk_steps": True,
    "steps_offset": 1,
    "set_alpha_to_one": False,
    "trained_betas": None,
    "prediction_type": "epsilon",
}
MERGES = (
    ("i", "n"),
    ("e", "d</w>"),
    ("h", "o"),
    ("ho", "t"),
    ("hot", "o</w>"),
    ("p", "hoto</w>"),
    ("o", "f</w>"),
)


def tiny_ldm(
    folder: Path | str,
    *,
    seed: int = 0,
    first_stage: Literal["kl", "tiny"] = "kl",
    dtype: torch.dtype = torch.float32,
    unet: dict[str, Any] | None = None,
    text_layers: int = 2,
    text_length: int = 24,
    scheduler: dict[str, Any] | None = None,
) -> Path:
    """Writes the pipeline folder and returns it; the same arguments give the same bytes in every weight.

    `unet` and `scheduler` replace fields of the configurations above; `first_stage` is diffusers' AutoencoderKL
    ("kl") or AutoencoderTiny ("tiny"); `dtype` is the one that the weights are stored in.
    """
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextModel

    folder = Path(folder)
    unet_model = UNet2DConditionModel(**{**UNET_CONFIG, **(unet or {})})
    width = unet_model.config["cross_attention_dim"]
    vae_model, text_model = (
        _first_stage(first_stage),
        CLIPTextModel(_text_config(width, text_layers, text_length)),
    )
    _save(unet_model, folder / "unet" / "diffusion_pytorch_model.safetensors", f"{seed}/unet", dtype)
    _save(vae_model, folder / "vae" / "diffusion_pytorch_model.safetensors", f"{seed}/vae", dtype)
    _save(
        text_model, folder / "text_encoder" / "model.safetensors", f"{seed}/text", dtype, prefix="text_model."
    )
    unet_model.save_config(folder / "unet")
    vae_model.save_config(folder / "vae")
    text_model.config.save_pretrained(folder / "text_encoder")
    write_tokenizer(folder / "tokenizer", text_length)
    _write_json(folder / "scheduler" / "scheduler_config.json", {**SCHEDULER_CONFIG, **(scheduler or {})})
    _write_json(
        folder / "model_index.json",
        _model_index("AutoencoderKL" if first_stage == "kl" else "AutoencoderTiny"),
    )
    return folder


def write_tokenizer(folder: Path, text_length: int) -> None:
    """CLIP's own file format: 256 bytes, their 256 word-final forms, a few merges, two special tokens."""
    alphabet = _printable_bytes()
    tokens = [*alphabet, *(f"{c}</w>" for c in alphabet), *(a + b for a, b in MERGES)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "vocab.json", {token: index for index, token in enumerate(tokens)})
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in MERGES), "utf-8")
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    special["pad_token"] = "<|endoftext|>"
    _write_json(folder / "special_tokens_map.json", special)
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "CLIPTokenizer",
            "model_max_length": text_length,
            "do_lower_case": True,
            **special,
        },
    )


def _printable_bytes() -> list[str]:
    """Byte-level BPE's alphabet: printable bytes stand for themselves, the others move up from code point
    256.
    """
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    moved = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(moved)) for byte in range(256)]


def _text_config(width: int, layers: int, length: int) -> Any:
    from transformers import CLIPTextConfig

    size = 512 + len(MERGES) + 2
    return CLIPTextConfig(
        vocab_size=size,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=2,
        max_position_embeddings=length,
        projection_dim=width,
        bos_token_id=size - 2,
        eos_token_id=size - 1,
        pad_token_id=size - 1,
    )


def _first_stage(kind: Literal["kl", "tiny"]) -> Any:
    from diffusers import AutoencoderKL, AutoencoderTiny

    if kind == "tiny":
        return AutoencoderTiny(
            encoder_block_out_channels=(8, 8, 8, 8),
            decoder_block_out_channels=(8, 8, 8, 8),
            num_encoder_blocks=(1, 1, 1, 1),
            num_decoder_blocks=(1, 1, 1, 1),
        )
    return AutoencoderKL(
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=128,
        scaling_factor=0.18215,
    )


def _save(model: torch.nn.Module, path: Path, namespace: str, dtype: torch.dtype, prefix: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {
        prefix + key: drawn(f"{namespace}/{key}", tuple(value.shape)).to(dtype)
        for key, value in model.state_dict().items()
    }
    save_file(tensors, path, metadata={"format": "pt"})


def drawn(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Each tensor is a function of its name and shape alone, as in the parity recipe: no global random state."""
    digest = hashlib.sha256(name.encode()).digest()
    uniform = np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "big"))).random(
        math.prod(shape)
    )
    value = torch.from_numpy(2 * uniform - 1).reshape(shape)
    if len(shape) == 1:
        return 1 + 0.25 * value if name.endswith("weight") else 0.1 * value
    return value * math.sqrt(3.0 / math.prod(shape[1:]))


def _model_index(first_stage: str) -> dict[str, Any]:
    return {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.42.1",
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "PNDMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", first_stage],
    }


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")
