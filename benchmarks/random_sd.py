"""Folders of Stable Diffusion v1.4's and LD-ZNet's true size with random weights: for timings, not for masks.

    python benchmarks/random_sd.py OUT [--vocabulary bpe_simple_vocab_16e6.txt.gz] [--tiny]

OUT/ldm is a diffusers folder (UNet 859.5 M parameters, CLIP ViT-L/14's text encoder, the KL autoencoder), OUT/net an
LD-ZNet of 925.9 M that belongs to it and squashes images to 384x384. 8.2 GB on disk in float32; each tensor is drawn
and written by itself, so that making them takes no more memory than the largest. Every value is a function of its name.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ldznet_cli.ldm import digests_of
from ldznet_cli.ldm.clip_vocabulary import read_merges
from ldznet_cli.ldm.fitting import shapes_of
from ldznet_cli.ldm.quiet import quiet_libraries
from ldznet_cli.ldm.weights import on_meta
from ldznet_cli.miniature.pipeline import build_scheduler, save_tokenizer
from ldznet_cli.miniature.recipe import official
from ldznet_cli.miniature.text import tokenizer_of
from ldznet_cli.nets import NetInfo, for_ldm
from ldznet_cli.nets.initialisation import fresh
from ldznet_cli.nets.manifest import MANIFEST, RAW
from ldznet_cli.nets.segmenters import skeleton

TOKENS, VOCABULARY = 77, 49_408


@dataclass(frozen=True)
class Size:
    """The widths that a model of Stable Diffusion's shape is made of."""

    unet: tuple[int, ...] = (320, 640, 1280, 1280)
    vae: tuple[int, ...] = (128, 256, 512, 512)
    text_width: int = 768
    text_layers: int = 12
    text_heads: int = 12
    pixels: int = 384


TINY = Size((32, 64, 128, 128), (32, 32, 64, 64), 64, 2, 2, 64)
"""The same shape a tenth as wide, on small images, for tests."""


def random_sd(out: Path, size: Size = Size(), vocabulary: Path | None = None) -> tuple[Path, Path]:
    """Writes OUT/ldm and OUT/net and returns them."""
    return (ldm := write_ldm(out / "ldm", size, vocabulary)), write_net(out / "net", ldm, size.pixels)


def write_ldm(folder: Path, size: Size, vocabulary: Path | None) -> Path:
    """The diffusers folder; without CLIP's vocabulary its tokenizer spells everything byte by byte."""
    with on_meta(folder):
        from diffusers import AutoencoderKL, UNet2DConditionModel
        from transformers import CLIPTextConfig, CLIPTextModel

        unet = UNet2DConditionModel(
            sample_size=64,
            block_out_channels=size.unet,
            cross_attention_dim=size.text_width,
            attention_head_dim=8,
        )
        vae = AutoencoderKL(
            block_out_channels=size.vae,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            latent_channels=4,
            sample_size=512,
        )
        text = CLIPTextModel(text_config := _text_config(CLIPTextConfig, size))
    for part, model in (("unet", unet), ("vae", vae)):
        write_tensors(
            folder / part / "diffusion_pytorch_model.safetensors", shapes_of(model.state_dict()), part
        )
        model.save_config(folder / part)
    write_tensors(folder / "text_encoder" / "model.safetensors", shapes_of(text.state_dict()), "text")
    text_config.save_pretrained(folder / "text_encoder")
    merges = read_merges(vocabulary) if vocabulary else []
    words = replace(official().pretraining.text, length=TOKENS)
    with quiet_libraries():
        save_tokenizer(tokenizer_of(merges, words), folder / "tokenizer")
        build_scheduler(official().schedule).save_pretrained(folder / "scheduler")
    return folder


def _text_config(config: Any, size: Size) -> Any:
    return config(
        vocab_size=VOCABULARY,
        hidden_size=size.text_width,
        intermediate_size=4 * size.text_width,
        num_hidden_layers=size.text_layers,
        num_attention_heads=size.text_heads,
        max_position_embeddings=TOKENS,
        projection_dim=size.text_width,
        architectures=["CLIPTextModel"],
    )


def write_net(folder: Path, ldm: Path, pixels: int) -> Path:
    """The LD-ZNet of that LDM, on images squashed to `pixels` x `pixels`."""
    config = for_ldm(json.loads((ldm / "unet" / "config.json").read_text("utf-8")), "ldznet")
    info = NetInfo(
        config=config,
        ldm_name=str(ldm.resolve()),
        ldm_digests=digests_of(ldm).to_dict(),
        geometry={"kind": "square", "size": pixels},
        threshold=0.5,
        timesteps=(300, 500),
        training={"note": "random weights: for timings"},
    )
    shapes = shapes_of(skeleton(config).state_dict())
    write_tensors(folder / RAW, shapes, "net")
    # No hash that would have to be computed of gigabytes: the values are a function of their names.
    files = {RAW: f"random:{sorted(shapes.items())[-1]}"}
    (folder / MANIFEST).write_text(json.dumps(replace(info, files=files).to_dict(), indent=2) + "\n", "utf-8")
    return folder


def write_tensors(path: Path, shapes: Mapping[str, tuple[int, ...]], salt: str) -> None:
    """A safetensors file of random float32 tensors, PyTorch's default distributions, one in memory at a time."""
    header: dict[str, Any] = {}
    end = 0
    for key, shape in shapes.items():
        begin, end = end, end + 4 * torch.Size(shape).numel()
        header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for key in shapes:
            file.write(fresh(key, shapes, seed=sum(salt.encode())).numpy().tobytes())


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--vocabulary", type=Path)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    for folder in random_sd(options.out, TINY if options.tiny else Size(), options.vocabulary):
        print(folder)


if __name__ == "__main__":
    main()
