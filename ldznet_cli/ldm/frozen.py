"""The frozen latent diffusion model as everyone else sees it: z, text and features; nothing in it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ldznet_cli.errors import ModelError, UsageError
from ldznet_cli.ldm.blocks import PAPER_BLOCKS, Blocks
from ldznet_cli.ldm.digests import LdmDigests, digests_of_parts
from ldznet_cli.ldm.first_stage import FirstStage
from ldznet_cli.ldm.folder import LdmParts, find_parts, read_json, resolve, weight_files
from ldznet_cli.ldm.noise import Schedule
from ldznet_cli.ldm.precision import whole_float32
from ldznet_cli.ldm.text import TextEncoder
from ldznet_cli.ldm.unet import FrozenUNet, check_unet_config
from ldznet_cli.ldm.weights import Weights
from ldznet_cli.tensors import FeatureMap, Latent, Pixels, Text

_PAPER_SIZE = 384
"""Pixels of a side in the paper's training and inference."""


class FrozenLDM:
    """Stable Diffusion 1.x/2.x or anything of its shape. Make one with `FrozenLDM.load`.

    `blocks`: the attention blocks whose features it gives; `latent_factor`: pixels to a latent position (8);
    `default_size`: the side, in pixels, that it was trained for, at most 384; `device`, `dtype`: where and in
    what it computes. Not to be shared between threads.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        parts: LdmParts,
        *,
        first_stage: FirstStage,
        text_encoder: TextEncoder | None,
        unet: FrozenUNet | None,
    ) -> None:
        self.name, self.folder, self.parts = name, folder, parts
        self.first_stage, self.text_encoder, self.unet = first_stage, text_encoder, unet
        parameter = next(first_stage.autoencoder.parameters())
        self.device: torch.device = parameter.device
        self.dtype: torch.dtype = parameter.dtype
        self.latent_factor = first_stage.factor
        self.blocks: tuple[int, ...] = tuple(unet.names) if unet else ()

    @classmethod
    def load(
        cls,
        path_or_hub_id: str | Path,
        *,
        blocks: Blocks = PAPER_BLOCKS,
        revision: str | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        vae: str | Path | None = None,
        offline: bool = False,
        fetch_unet: bool = False,
    ) -> FrozenLDM:
        """From a diffusers folder (or a lone first stage's), or a hub id at `revision`.

        `blocks`: the paper's, or indices: the UNet is cut after the last of them; None keeps it whole, so that
        `predict_noise` works; () leaves the UNet alone, for z and text. Its weights are then not fetched either, but
        with `fetch_unet`: for `unet_state_dict`, and for a digest of it. `vae`: path or hub id of another first
        stage. Raises WeightsUnavailable, ModelError, UsageError, DiskFull.
        """
        place = _checked_device(device)
        leaves = _leaves_unet(blocks) and not fetch_unet
        wanted = ("vae", "text_encoder", "") if leaves else ("unet", "vae", "text_encoder", "")
        folder = resolve(path_or_hub_id, revision=revision, offline=offline, parts=wanted)
        other = None if vae is None else resolve(vae, offline=offline, parts=("vae", ""))
        parts = find_parts(folder, other)
        unet = _load_unet(folder, parts, blocks, place, dtype)
        text = None
        if parts.text_encoder:
            text = TextEncoder.load(parts.text_encoder, parts.tokenizer, place, dtype)
        first_stage = FirstStage.load(parts.first_stage, place, dtype)
        name = folder.resolve().name if Path(path_or_hub_id).expanduser().is_dir() else str(path_or_hub_id)
        return cls(name, folder, parts, first_stage=first_stage, text_encoder=text, unet=unet)

    @torch.no_grad()
    @whole_float32()
    def encode_image(self, pixels: Pixels, posterior_noise: Latent | None = None) -> Latent:
        """z (B, 4, H/8, W/8), scaled, of images in [-1, 1] whose sides are multiples of 8; in `dtype`, on `device`.

        The mode of the posterior; its sample where standard normal `posterior_noise` is given. Raises UsageError.
        """
        return self.first_stage.encode(pixels.to(self.device, self.dtype), posterior_noise)

    @torch.no_grad()
    def encode_text(self, prompts: Sequence[str]) -> Text:
        """Hidden states (B, L, D) of `prompts`, each padded to L tokens. Raises PromptError, ModelError."""
        if self.text_encoder is None:
            raise ModelError(f"{self.name} has no text encoder: it gives no text")
        return self.text_encoder.encode(prompts)

    @torch.no_grad()
    @whole_float32()
    def features(self, z: Latent, text: Text, timestep: int | Tensor, noise: Latent) -> dict[int, FeatureMap]:
        """Block index → its output (B, C, h, w) on z noised to `timestep`, which is one or a (B,) tensor.

        `z` (B, 4, h, w) is clean and scaled, `text` (B, L, D), `noise` as z. Raises ModelError without a UNet.
        """
        unet = self._needed_unet()
        z_t = self.schedule.add_noise(z.to(self.device, self.dtype), noise, timestep)
        return unet.features(z_t, text.to(self.device, self.dtype), self._timesteps(timestep, z_t))

    @torch.no_grad()
    @whole_float32()
    def predict_noise(self, z_t: Latent, text: Text, timestep: int | Tensor) -> Latent:
        """eps (B, 4, h, w) for a noisy z_t. Raises ModelError unless loaded with blocks=None."""
        z_t = z_t.to(self.device, self.dtype)
        text = text.to(self.device, self.dtype)
        output = self._needed_unet().predict(z_t, text, self._timesteps(timestep, z_t))
        return self.schedule.noise_of(output, z_t, timestep)

    @cached_property
    def digests(self) -> LdmDigests:
        """The hashes of the parts on disk; of a UNet that was not loaded too, if its weights are there."""
        return digests_of_parts(self.parts, unet_needed=self.unet is not None)

    @cached_property
    def schedule(self) -> Schedule:
        """The noise schedule. Raises WeightsUnavailable, ModelError."""
        if self.parts.scheduler is None:
            raise ModelError(f"{self.folder} has no scheduler/: how much noise a timestep has is unknown")
        return Schedule.from_config(read_json(self.parts.scheduler / "scheduler_config.json"))

    @cached_property
    def unet_config(self) -> dict[str, Any]:
        """The UNet's config.json. Raises ModelError when the model has none."""
        if self.parts.unet is None:
            raise ModelError(f"{self.name} has no UNet: it gives z and text only")
        return read_json(self.parts.unet / "config.json")

    @property
    def text_length(self) -> int:
        """L: tokens in a prompt with start, end and padding. Raises ModelError without a text encoder."""
        if self.text_encoder is None:
            raise ModelError(f"{self.name} has no text encoder: it gives no text")
        return self.text_encoder.length

    @property
    def default_size(self) -> int:
        """The side of an image in pixels that the UNet was trained for, at most the paper's 384."""
        size = self.unet_config.get("sample_size") if self.parts.unet else None
        if size is None:
            return _PAPER_SIZE
        side = size if isinstance(size, int) else int(min(size))
        return min(_PAPER_SIZE, side * self.latent_factor)

    def unet_state_dict(self) -> dict[str, Tensor]:
        """All of the UNet's weights as stored, memory-mapped, under diffusers' keys: what nets start from."""
        if self.parts.unet is None:
            raise ModelError(f"{self.name} has no UNet to start from")
        weights = Weights(weight_files(self.parts.unet, "unet"))
        return weights.read(weights.shapes())

    def __repr__(self) -> str:
        where = f"device={str(self.device)!r}, dtype={self.dtype}"
        return f"FrozenLDM({self.name!r}, blocks={self.blocks}, {where})"

    def _needed_unet(self) -> FrozenUNet:
        if self.unet is None:
            raise ModelError(f"{self.name} was loaded without a UNet: it gives z and text only")
        return self.unet

    def _timesteps(self, timestep: int | Tensor, z_t: Tensor) -> Tensor:
        return torch.as_tensor(timestep, device=self.device).reshape(-1).expand(len(z_t))


def _load_unet(
    folder: Path, parts: LdmParts, blocks: Blocks, device: torch.device, dtype: torch.dtype
) -> FrozenUNet | None:
    if parts.unet is None:
        if _leaves_unet(blocks) or blocks == PAPER_BLOCKS:
            return None
        raise ModelError(f"{folder} has no UNet, so no blocks: leave them as they are")
    config = read_json(parts.unet / "config.json")
    text = read_json(parts.text_encoder / "config.json") if parts.text_encoder else {}
    check_unet_config(parts.unet, config, text.get("hidden_size"))
    if _leaves_unet(blocks):
        return None
    return FrozenUNet.load(parts.unet, config, blocks, device, dtype)


def _leaves_unet(blocks: Blocks) -> bool:
    return blocks is not None and not isinstance(blocks, str) and len(blocks) == 0


def _checked_device(device: str | torch.device) -> torch.device:
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise UsageError(f"unknown device {str(device)!r}: use cpu, cuda, cuda:0, mps") from error
    backend = getattr(torch, place.type, None)
    if place.type != "cpu" and not (backend and backend.is_available()):
        raise UsageError(f"device {str(device)!r} is not available on this machine")
    return place
