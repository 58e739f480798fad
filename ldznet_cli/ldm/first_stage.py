"""The first stage: pixels → z. AutoencoderKL is Stable Diffusion's, AutoencoderTiny TAESD's and the miniature's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from ldznet_cli.errors import ModelError, UsageError
from ldznet_cli.ldm.folder import FIRST_STAGES, read_json, weight_files
from ldznet_cli.ldm.weights import Weights, fill, on_meta
from ldznet_cli.tensors import Latent, Pixels

_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""The names that diffusers gave the autoencoder's attention before 0.18, and that the hub's files still have."""


class FirstStage:
    """A frozen encoder; its decoder is neither read nor kept."""

    def __init__(self, autoencoder: Any, config: dict[str, Any]) -> None:
        self.autoencoder = autoencoder
        self.has_posterior = config["_class_name"] == "AutoencoderKL"
        self.scaling_factor = float(autoencoder.config.scaling_factor)
        self.shift_factor = float(autoencoder.config.get("shift_factor") or 0.0)
        widths = "block_out_channels" if self.has_posterior else "encoder_block_out_channels"
        self.factor: int = 2 ** (len(autoencoder.config[widths]) - 1)

    @classmethod
    def load(cls, folder: Path, device: torch.device, dtype: torch.dtype) -> FirstStage:
        """From a folder with config.json and safetensors. Raises WeightsUnavailable, ModelError."""
        config = read_json(folder / "config.json")
        autoencoder, known = _encoder_on_meta(folder, config)
        weights = Weights(weight_files(folder, "vae"), rename=_new_name)
        fill(autoencoder, weights, known, device=device, dtype=dtype)
        for module in autoencoder.modules():  # at full resolution each copy of a map is 75 MB
            if isinstance(module, nn.SiLU):
                module.inplace = True
        return cls(autoencoder, config)

    def encode(self, pixels: Pixels, posterior_noise: Latent | None = None) -> Latent:
        """Scaled z (B, 4, H/f, W/f) of images in [-1, 1]; the posterior's mode, or mean + std * `posterior_noise`.

        Raises UsageError when the sides are no multiples of f (8), or when there is no posterior to sample from.
        """
        height, width = pixels.shape[-2:]
        if height % self.factor or width % self.factor:
            sides = f"both sides must be multiples of {self.factor}"
            raise UsageError(f"an image of {width}x{height} pixels: {sides}")
        encoded = self.autoencoder.encode(pixels)
        if not self.has_posterior:
            if posterior_noise is not None:
                raise UsageError("an AutoencoderTiny has no posterior that posterior_noise could sample")
            latent = encoded.latents
        elif posterior_noise is None:
            latent = encoded.latent_dist.mode()
        else:
            latent = encoded.latent_dist.mean + encoded.latent_dist.std * posterior_noise.to(pixels)
        z: Latent = (latent - self.shift_factor) * self.scaling_factor
        return z


def _encoder_on_meta(folder: Path, config: dict[str, Any]) -> tuple[Any, set[str]]:
    """The autoencoder without its decoder, on the meta device, and the keys of the whole."""
    if (kind := config.get("_class_name")) not in FIRST_STAGES:
        raise ModelError(f"{folder} is a {kind}: a first stage is an {' or an '.join(FIRST_STAGES)}")
    with on_meta(folder / "config.json"):
        import diffusers

        autoencoder = getattr(diffusers, kind).from_config(config)
    if (channels := autoencoder.config.latent_channels) != 4:
        raise ModelError(f"{folder} has {channels} latent channels: Stable Diffusion has 4")
    known = set(autoencoder.state_dict())
    autoencoder.decoder = None
    if hasattr(autoencoder, "post_quant_conv"):
        autoencoder.post_quant_conv = None
    return autoencoder, known


def _new_name(key: str) -> str:
    if ".attentions." not in key:
        return key
    stem, name, kind = key.rsplit(".", 2)
    return f"{stem}.{_OLD_ATTENTION.get(name, name)}.{kind}"
