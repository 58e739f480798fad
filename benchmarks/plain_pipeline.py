"""The opponent of `inference.py`: diffusers' and transformers' modules and the net, all as they load, nothing cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from PIL import Image
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from ldznet_cli.ldm.blocks import block_names
from ldznet_cli.nets import load_net, read_info
from ldznet_cli.samples.geometry import Geometry, to_tensor


class PlainPipeline:
    """From an image and a phrase to probabilities, as one would write it down with diffusers in float32."""

    def __init__(self, sd: Path) -> None:
        ldm = sd / "ldm"
        self.tokenizer = CLIPTokenizer.from_pretrained(ldm / "tokenizer")
        self.text_encoder = CLIPTextModel.from_pretrained(ldm / "text_encoder", dtype=torch.float32)
        self.vae = AutoencoderKL.from_pretrained(ldm / "vae")
        self.unet = UNet2DConditionModel.from_pretrained(ldm / "unet")
        self.scheduler = DDIMScheduler.from_pretrained(ldm / "scheduler")
        self.net = load_net(sd / "net")
        self.geometry = Geometry(**read_info(sd / "net").geometry)
        self.features: dict[int, Tensor] = {}
        for index, name in enumerate(block_names(self.unet.config)):
            if index in self.net.config.blocks:
                self.unet.get_submodule(name).register_forward_hook(self._keep(index))

    @torch.inference_mode()
    def predict(self, image: Image.Image, phrase: str) -> Tensor:
        """Probabilities (1, 1, H, W)."""
        prompt = self.tokenizer(f"a photo of a {phrase}.", padding="max_length", return_tensors="pt")
        text = self.text_encoder(prompt.input_ids).last_hidden_state
        latent = self.vae.encode(to_tensor(image, self.geometry)).latent_dist.mode()
        z = latent * self.vae.config.scaling_factor
        timestep = torch.tensor([400])
        noisy = self.scheduler.add_noise(z, torch.randn_like(z), timestep)
        self.unet(noisy, timestep, encoder_hidden_states=text)
        return torch.sigmoid(self.net(z, text, self.features))

    def _keep(self, index: int) -> Any:
        def hook(_module: Any, _inputs: Any, output: Any) -> None:
            self.features[index] = output[0]

        return hook
