"""The frozen UNet, cut after the last block that is asked for, and read no further than that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ldznet_cli.errors import ModelError
from ldznet_cli.ldm.blocks import Blocks, block_names, choose_blocks, cut_after
from ldznet_cli.ldm.folder import weight_files
from ldznet_cli.ldm.weights import Weights, fill, on_meta
from ldznet_cli.tensors import FeatureMap, Latent, Text


class FrozenUNet:
    """A UNet that gives its spatial transformers' outputs, and the predicted noise when it is whole."""

    def __init__(self, unet: Any, names: dict[int, str], *, whole: bool) -> None:
        self.unet, self.names, self.whole = unet, names, whole

    @classmethod
    def load(
        cls, folder: Path, config: dict[str, Any], blocks: Blocks, device: torch.device, dtype: torch.dtype
    ) -> FrozenUNet:
        """`blocks` None keeps the UNet whole. Raises UsageError, WeightsUnavailable, ModelError."""
        with on_meta(folder / "config.json"):
            from diffusers import UNet2DConditionModel

            unet = UNet2DConditionModel.from_config(config)
        chosen, known = choose_blocks(config, blocks), set(unet.state_dict())
        names = dict(enumerate(block_names(config)))
        if blocks is not None:
            cut_after(unet, names[chosen[-1]])
        fill(unet, Weights(weight_files(folder, "unet")), known, device=device, dtype=dtype)
        return cls(unet, {index: names[index] for index in chosen}, whole=blocks is None)

    def features(self, z_t: Latent, text: Text, timestep: int | Tensor) -> dict[int, FeatureMap]:
        """Block index → the block's output (B, C, h, w), before any up- or downsampling."""
        with self._taking() as taken:
            self._run(z_t, text, timestep)
        # As a cache would give them back: what is made of them depends, in the last bit, on the order in memory.
        return {index: taken[index].contiguous() for index in self.names}

    def predict(self, z_t: Latent, text: Text, timestep: int | Tensor) -> Latent:
        """What the UNet was trained to predict (B, 4, h, w). Raises ModelError when the UNet was cut."""
        if not self.whole:
            raise ModelError("the UNet was cut after its last block: load with blocks=None to predict noise")
        return self._run(z_t, text, timestep)

    def _run(self, z_t: Latent, text: Text, timestep: int | Tensor) -> Tensor:
        output: Tensor = self.unet(z_t, timestep, encoder_hidden_states=text, return_dict=False)[0]
        return output

    @contextmanager
    def _taking(self) -> Iterator[dict[int, Tensor]]:
        taken: dict[int, Tensor] = {}
        hooks = [
            self.unet.get_submodule(name).register_forward_hook(_keep(taken, index))
            for index, name in self.names.items()
        ]
        try:
            yield taken
        finally:
            for hook in hooks:
                hook.remove()


def _keep(taken: dict[int, Tensor], index: int) -> Callable[[Any, Any, Any], None]:
    def hook(_module: Any, _inputs: Any, output: Any) -> None:
        taken[index] = output[0]

    return hook


_OTHER_INPUTS = ("class_embed_type", "num_class_embeds", "encoder_hid_dim_type", "encoder_hid_dim")
"""Fields of UNet2DConditionModel's configuration by which it needs inputs that we have not."""


def check_unet_config(folder: Path, config: dict[str, Any], text_width: int | None) -> None:
    """Raises ModelError when this is no UNet of a Stable Diffusion 1.x or 2.x, or not this text encoder's."""
    kind, inputs = config.get("_class_name"), config.get("in_channels", 4)
    if kind != "UNet2DConditionModel" or config.get("addition_embed_type"):
        found = "Stable Diffusion XL's" if config.get("addition_embed_type") else f"a {kind}"
        raise ModelError(f"{folder} is {found}: the UNet of a Stable Diffusion 1.x or 2.x is needed")
    if inputs != 4:
        raise ModelError(f"{folder} takes {inputs} channels, as inpainting models do: 4 are needed")
    for field in _OTHER_INPUTS:
        if (value := config.get(field)) is not None:
            raise ModelError(
                f"{folder} has {field} {value!r}: it takes more than z, text and timestep, as unCLIP models and "
                "upscalers do; the UNet of a Stable Diffusion 1.x or 2.x is needed"
            )
    width = config.get("cross_attention_dim")
    if text_width is not None and width != text_width:
        raise ModelError(f"{folder} takes text of width {width}, but the text encoder gives {text_width}")
