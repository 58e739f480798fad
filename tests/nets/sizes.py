"""Inputs that fit a configuration."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ldznet_cli.nets.config import NetConfig
from ldznet_cli.nets.numbering import injected_blocks, level_size


def inputs_for(
    config: NetConfig, size: tuple[int, int], batch: int = 2, seed: int = 0
) -> tuple[Tensor, Tensor, dict[int, Tensor]]:
    """z or image, text and features for latents of this height and width."""
    generator = np.random.Generator(np.random.Philox(seed))

    def draw(*shape: int) -> Tensor:
        # Not torch.randn: it differs between builds for different processors.
        return torch.from_numpy(generator.standard_normal(shape, np.float32))

    h, w = size
    rgb = config.kind == "rgbnet"
    z = draw(batch, *((3, 8 * h, 8 * w) if rgb else (4, h, w)))
    text = draw(batch, 7, config.unet.cross_attention_dim)
    features = {
        block.index: draw(batch, block.width, level_size(h, block.level), level_size(w, block.level))
        for block in injected_blocks(config.unet, config.blocks)
    }
    return z, text, features
