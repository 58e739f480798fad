"""Which spatial transformers a U-Net has, and their numbers: in order down, middle, up, from 0.

The LDM's UNet and the net's have the same shape, so a block's index names it in both.
"""

from __future__ import annotations

from dataclasses import dataclass

from ldznet_cli.errors import ModelError
from ldznet_cli.nets.config import UNetConfig


@dataclass(frozen=True)
class AttentionBlock:
    """One spatial transformer: its index, its name in diffusers' keys, its level (0 = finest), width and heads."""

    index: int
    name: str
    level: int
    width: int
    heads: int


def attention_blocks(unet: UNetConfig) -> tuple[AttentionBlock, ...]:
    """All spatial transformers of a U-Net, in the order they run."""
    deepest = unet.levels - 1
    down = [
        (f"down_blocks.{level}.attentions.{layer}", level)
        for level in range(unet.levels)
        if unet.down_attention[level]
        for layer in range(unet.layers_per_block[level])
    ]
    up = [
        (f"up_blocks.{deepest - level}.attentions.{layer}", level)
        for level in reversed(range(unet.levels))
        if unet.up_attention[level]
        for layer in range(unet.layers_per_block[level] + 1)
    ]
    found = [*down, ("mid_block.attentions.0", deepest), *up]
    widths, heads = unet.block_out_channels, unet.attention_heads
    return tuple(AttentionBlock(i, name, at, widths[at], heads[at]) for i, (name, at) in enumerate(found))


def paper_blocks(unet: UNetConfig) -> tuple[int, ...]:
    """The paper's five blocks, found in any U-Net: 5..9 in Stable Diffusion's.

    They are the last one on the way down, the middle one, and the first three of the first level that has any on
    the way up (the paper's figure 4 counts them 6..10).
    """
    blocks = attention_blocks(unet)
    middle = next(block for block in blocks if block.name.startswith("mid_block"))
    down = blocks[: middle.index]
    up = blocks[middle.index + 1 :]
    first_up = [block for block in up if block.level == up[0].level][:3]
    return tuple(block.index for block in (*down[-1:], middle, *first_up))


def injected_blocks(unet: UNetConfig, indices: tuple[int, ...]) -> tuple[AttentionBlock, ...]:
    """The blocks of these indices. ModelError for an index that the U-Net does not have."""
    blocks = attention_blocks(unet)
    beyond = [index for index in indices if not 0 <= index < len(blocks)]
    if beyond:
        raise ModelError(f"no block {beyond[0]} in a U-Net with blocks 0 to {len(blocks) - 1}")
    return tuple(blocks[index] for index in indices)


def level_size(size: int, level: int) -> int:
    """How many positions a side of `size` has at a level: each downsampling halves it, rounding up."""
    return -(-size // (1 << level))
