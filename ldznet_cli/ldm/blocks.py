"""The UNet's attention blocks: where they sit, which are the paper's, and the cut after the last one needed.

A block is one spatial transformer. Blocks are numbered from 0 in the order in which the UNet runs them:
Stable Diffusion has 16, of which the paper's {6, …, 10} (counted from 1) are 5 … 9.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from torch import nn

from ldznet_cli.errors import ModelError, UsageError

PAPER_BLOCKS: Final = "paper"
"""The last block on the way down, the middle one, the three of the first attention level on the way up."""

Blocks = Literal["paper"] | Sequence[int] | None

_DOWN = (*["CrossAttnDownBlock2D"] * 3, "DownBlock2D")
_UP = ("UpBlock2D", *["CrossAttnUpBlock2D"] * 3)
"""Diffusers' defaults, which are Stable Diffusion's."""


def block_names(unet_config: Mapping[str, Any]) -> list[str]:
    """The module name of each spatial transformer of a diffusers UNet, in the order of the forward pass."""
    down, up = unet_config.get("down_block_types", _DOWN), unet_config.get("up_block_types", _UP)
    layers = unet_config.get("layers_per_block", 2)
    layers = [layers] * len(down) if isinstance(layers, int) else list(layers)
    names = []
    for level, kind in enumerate(down):
        names += [f"down_blocks.{level}.attentions.{i}" for i in range(layers[level]) if _attends(kind)]
    if _attends(unet_config.get("mid_block_type", "UNetMidBlock2DCrossAttn")):
        names.append("mid_block.attentions.0")
    for level, kind in enumerate(up):
        names += [
            f"up_blocks.{level}.attentions.{i}" for i in range(layers[-1 - level] + 1) if _attends(kind)
        ]
    return names


def paper_blocks(unet_config: Mapping[str, Any]) -> tuple[int, ...]:
    """The paper's five in any UNet of Stable Diffusion's kind (SD 1.x: 5, 6, 7, 8, 9).

    The last block on the way down, the middle one, the first three of the first level with attention on the way
    up. Raises ModelError when the UNet has no attention on the way down or up.
    """
    names = block_names(unet_config)
    down = [i for i, name in enumerate(names) if name.startswith("down")]
    middle = [i for i, name in enumerate(names) if name.startswith("mid")]
    up = [i for i, name in enumerate(names) if name.startswith("up")]
    if not down or not up:
        raise ModelError("the UNet attends to text on one way only, down or up: name the blocks yourself")
    level = names[up[0]].split(".")[1]
    first_level = [i for i in up if names[i].split(".")[1] == level]
    return (down[-1], *middle, *first_level[:3])


def choose_blocks(unet_config: Mapping[str, Any], blocks: Blocks) -> tuple[int, ...]:
    """The block indices that `blocks` means, ascending: the paper's, those named, or all of them (None).

    Raises UsageError for an index that the UNet does not have.
    """
    count = len(block_names(unet_config))
    if blocks is None:
        return tuple(range(count))
    if isinstance(blocks, str):
        if blocks != PAPER_BLOCKS:
            raise UsageError(f"blocks are {PAPER_BLOCKS!r}, indices or None, not {blocks!r}")
        return paper_blocks(unet_config)
    if wrong := [index for index in blocks if not 0 <= index < count]:
        raise UsageError(f"the UNet has attention blocks 0 to {count - 1}; there is no block {wrong[0]}")
    return tuple(sorted(set(blocks)))


def cut_after(unet: Any, name: str) -> None:
    """Takes away, in place, all that the UNet runs after the block `name`; what comes before gives equal bits.

    Do it on the meta device, before weights are read, and the rest is never in memory. The middle block's last
    res-block stays, because diffusers pairs each attention with one; it is the only thing that runs for nothing.
    """
    way, *place = name.split(".")
    if way == "down_blocks":
        unet.down_blocks = unet.down_blocks[: int(place[0]) + 1]
        _end_level(unet.down_blocks[-1], "downsamplers", int(place[2]))
        unet.mid_block = None
    if way == "up_blocks":
        unet.up_blocks = unet.up_blocks[: int(place[0]) + 1]
        _end_level(unet.up_blocks[-1], "upsamplers", int(place[2]))
    else:
        unet.up_blocks = nn.ModuleList()
    unet.conv_norm_out = None
    unet.conv_out = nn.Identity()


def _end_level(level: Any, samplers: str, last: int) -> None:
    level.resnets = level.resnets[: last + 1]
    level.attentions = level.attentions[: last + 1]
    setattr(level, samplers, None)


def _attends(kind: str | None) -> bool:
    """Simple… blocks attend in another way: they have no spatial transformers."""
    return kind is not None and "CrossAttn" in kind and "Simple" not in kind
