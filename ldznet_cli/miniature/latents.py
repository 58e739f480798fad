"""What the LDM's training reads: every training image's latent and every caption's token ids, made once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from numpy.typing import NDArray
from transformers import CLIPTokenizer

from ldznet_cli.miniature.autoencoder import to_pixels
from ldznet_cli.miniature.data import Images, save_array
from ldznet_cli.miniature.text import token_ids

_BATCH = 25


@torch.no_grad()
def encode(autoencoder: AutoencoderTiny, images: Images) -> NDArray[np.float32]:
    """Unscaled latents (n, 4, H/8, W/8) of uint8 images (n, H, W, 3)."""
    parts = [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]
    latents = [autoencoder.encode(to_pixels(part)).latents.float().numpy() for part in parts]
    return np.concatenate(latents)


def save_latents(
    folder: Path, autoencoder: AutoencoderTiny, images: Sequence[Images], factor: float | None = None
) -> float:
    """Write `latents.npy`, float16, scaled by `factor`, by default (1 / std) to unit deviation over all of it; returns
    the factor."""
    latents = np.concatenate([encode(autoencoder, part) for part in images])
    scaling_factor = factor or round(float(1.0 / latents.std(dtype=np.float64)), 4)
    folder.mkdir(parents=True, exist_ok=True)
    save_array(folder / "latents.npy", (scaling_factor * latents).astype(np.float16))
    return scaling_factor


def save_captions(folder: Path, tokenizer: CLIPTokenizer, captions: Sequence[Sequence[str]]) -> None:
    """Write `captions.npy`: token ids (n, draws, L) as uint16."""
    flat = [caption for own in captions for caption in own]
    parts = [token_ids(tokenizer, flat[start : start + 10_000]) for start in range(0, len(flat), 10_000)]
    ids = np.concatenate(parts).astype(np.uint16)
    folder.mkdir(parents=True, exist_ok=True)
    save_array(folder / "captions.npy", ids.reshape(len(captions), -1, ids.shape[1]))
