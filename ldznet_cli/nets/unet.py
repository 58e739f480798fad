"""The U-Net, down to the level of blocks; res-blocks, attention and samplers are diffusers' public modules.

Module names are diffusers' own, so that the state dict of an LDM's UNet fits key for key.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from diffusers.models.downsampling import Downsample2D
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from jaxtyping import Float
from torch import Tensor, nn

from ldznet_cli.nets.config import NetConfig
from ldznet_cli.nets.numbering import attention_blocks, injected_blocks, level_size
from ldznet_cli.nets.transformer import Injection, SpatialTransformer, TransformerShape
from ldznet_cli.tensors import Latent, Text

Features = Mapping[int, Tensor]
"""The LDM's features by block index, each (B, C, h, w) at its block's own resolution."""


class Stage(nn.Module):
    """One level of the way down or up: res-blocks, each with its spatial transformer where the level has them."""

    def __init__(self, resnets: list[ResnetBlock2D], attentions: list[SpatialTransformer]) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(resnets)
        if attentions:
            self.attentions = nn.ModuleList(attentions)
        self.has_attention = bool(attentions)

    def layer(self, i: int, x: Tensor, time: Tensor, text: Text, features: Features) -> Tensor:
        """Res-block `i` and its spatial transformer."""
        x = self.resnets[i](x, time)
        return attend(self.attentions[i], x, text, features) if self.has_attention else x

    def __repr__(self) -> str:
        parts: list[nn.Module] = []
        for i, resnet in enumerate(self.resnets):
            parts += [resnet, self.attentions[i]] if self.has_attention else [resnet]
        for samplers in ("downsamplers", "upsamplers"):
            parts += getattr(self, samplers, None) or []
        return told(self, parts)


class Down(Stage):
    """A level on the way down. Every map it makes is kept for the way up."""

    def __init__(
        self, resnets: list[ResnetBlock2D], attentions: list[SpatialTransformer], sampler: Downsample2D | None
    ) -> None:
        super().__init__(resnets, attentions)
        self.downsamplers = nn.ModuleList([sampler]) if sampler is not None else None

    def forward(self, x: Tensor, time: Tensor, text: Text, features: Features) -> list[Tensor]:
        """One map for each layer, and a last one of half the size where there is a level below."""
        maps = []
        for i in range(len(self.resnets)):
            x = self.layer(i, x, time, text, features)
            maps.append(x)
        if self.downsamplers is not None:
            maps.append(self.downsamplers[0](x))
        return maps


class Middle(nn.Module):
    """The lowest level's res-block, spatial transformer, res-block."""

    def __init__(self, first: ResnetBlock2D, attention: SpatialTransformer, second: ResnetBlock2D) -> None:
        super().__init__()
        self.attentions = nn.ModuleList([attention])
        self.resnets = nn.ModuleList([first, second])

    def forward(self, x: Tensor, time: Tensor, text: Text, features: Features) -> Tensor:
        """Same size in and out."""
        x = attend(self.attentions[0], self.resnets[0](x, time), text, features)
        middle: Tensor = self.resnets[1](x, time)
        return middle

    def __repr__(self) -> str:
        return told(self, [self.resnets[0], self.attentions[0], self.resnets[1]])


class Up(Stage):
    """A level on the way up: each layer takes one kept map beside its input, last made first."""

    def __init__(
        self, resnets: list[ResnetBlock2D], attentions: list[SpatialTransformer], sampler: Upsample2D | None
    ) -> None:
        super().__init__(resnets, attentions)
        self.upsamplers = nn.ModuleList([sampler]) if sampler is not None else None

    def forward(self, x: Tensor, kept: list[Tensor], time: Tensor, text: Text, features: Features) -> Tensor:
        """Takes its maps off the end of `kept`; leaves at the size of the next one, odd sizes included."""
        for i in range(len(self.resnets)):
            x = self.layer(i, torch.cat([x, kept.pop()], dim=1), time, text, features)
        if self.upsamplers is not None:
            x = self.upsamplers[0](x, output_size=kept[-1].shape[2:])
        return x


def told(stage: nn.Module, parts: list[nn.Module]) -> str:
    """A stage as a reader wants it: one line for each of its parts, in the order they run."""
    lines = []
    for part in parts:
        if isinstance(part, ResnetBlock2D):
            lines.append(f"res-block {part.in_channels} → {part.out_channels}")
        elif isinstance(part, SpatialTransformer):
            lines.append(part.extra_repr())
        else:
            lines.append("half the size" if isinstance(part, Downsample2D) else "twice the size")
    return "\n  ".join([f"{type(stage).__name__}(", *lines]) + "\n)"


def attend(block: nn.Module, x: Tensor, text: Text, features: Features) -> Tensor:
    """A spatial transformer with the LDM's feature of its own index, if there is one."""
    assert isinstance(block, SpatialTransformer)
    attended: Tensor = block(x, text, features.get(block.block.index))
    return attended


class UNet(nn.Module):
    """Stable Diffusion's UNet at timestep 0, with as many output channels as the head is wide.

    `coarse(z, text, features)` is its pass. Any h and w will do: on the way up a map is brought to the size of the
    one it meets. What is made of the coarse map is for `segmenters.py` to say.
    """

    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        self.config = config
        unet, widths = config.unet, config.unet.block_out_channels
        transformers = _spatial_transformers(config)
        first, deepest = widths[0], unet.levels - 1

        self.conv_in = nn.Conv2d(unet.in_channels, first, 3, padding=1)
        self.time_proj = Timesteps(first, unet.flip_sin_to_cos, unet.freq_shift)
        self.time_embedding = TimestepEmbedding(first, unet.time_embed_dim)

        self.down_blocks = nn.ModuleList()
        kept_widths, x_width = [first], first
        for level, width in enumerate(widths):
            layers = unet.layers_per_block[level]
            inputs = [x_width] + [width] * (layers - 1)
            sampler = Downsample2D(width, use_conv=True, name="op") if level < deepest else None
            at = transformers.pop(f"down_blocks.{level}", [])
            self.down_blocks.append(Down([_res_block(config, i, width) for i in inputs], at, sampler))
            kept_widths += [width] * (layers + (sampler is not None))
            x_width = width

        lowest = [_res_block(config, x_width, x_width) for _ in range(2)]
        self.mid_block = Middle(lowest[0], transformers.pop("mid_block")[0], lowest[1])

        self.up_blocks = nn.ModuleList()
        for i, level in enumerate(reversed(range(unet.levels))):
            width, resnets = widths[level], []
            for _ in range(unet.layers_per_block[level] + 1):
                resnets.append(_res_block(config, x_width + kept_widths.pop(), width))
                x_width = width
            sampler = Upsample2D(width, use_conv=True) if level > 0 else None
            self.up_blocks.append(Up(resnets, transformers.pop(f"up_blocks.{i}", []), sampler))

        self.conv_norm_out = nn.GroupNorm(unet.norm_num_groups, first, eps=unet.norm_eps)
        self.conv_out = nn.Conv2d(first, config.head_width, 3, padding=1)

    def coarse(self, z: Latent, text: Text, features: Features) -> Float[Tensor, "B K h w"]:
        """Down, middle, up: the map before the head, at the latent's resolution."""
        # The nets always run at timestep 0, so one row of the embedding serves the whole batch.
        sinusoid = self.time_proj(torch.zeros(1, device=z.device))
        time = self.time_embedding(sinusoid.to(z.dtype))

        kept = [self.conv_in(z)]
        for down in self.down_blocks:
            kept += down(kept[-1], time, text, features)

        x = self.mid_block(kept[-1], time, text, features)

        for up in self.up_blocks:
            x = up(x, kept, time, text, features)

        out: Tensor = self.conv_out(F.silu(self.conv_norm_out(x)))
        return out


def _res_block(config: NetConfig, width_in: int, width_out: int) -> ResnetBlock2D:
    unet = config.unet
    return ResnetBlock2D(
        in_channels=width_in,
        out_channels=width_out,
        temb_channels=unet.time_embed_dim,
        groups=unet.norm_num_groups,
        eps=unet.norm_eps,
    )


def _spatial_transformers(config: NetConfig) -> dict[str, list[SpatialTransformer]]:
    """All of them, by the name of the stage they belong to: `down_blocks.0`, `mid_block`, …"""
    unet = config.unet
    shape = TransformerShape(unet.cross_attention_dim, unet.norm_num_groups, unet.use_linear_projection)
    injected = {block.index for block in injected_blocks(unet, config.blocks)}
    stages: dict[str, list[SpatialTransformer]] = {}
    for block in attention_blocks(unet):
        side = level_size(config.pool_latent, block.level)
        injection = None
        if config.fusion is not None and block.index in injected:
            injection = Injection(config.fusion, (side, side), config.positions)
        layers = unet.transformer_layers[block.level]
        stage = block.name.partition(".attentions")[0]
        stages.setdefault(stage, []).append(SpatialTransformer(block, layers, shape, injection))
    return stages
