"""The shapes of what the LDM gives, from its configuration alone: what a cache will cost is known before any work."""

from __future__ import annotations

from ldznet_cli.ldm.blocks import block_names
from ldznet_cli.ldm.frozen import FrozenLDM
from ldznet_cli.samples.geometry import Geometry

_WIDTHS = (320, 640, 1280, 1280)  # diffusers' default of block_out_channels, Stable Diffusion's


def grid_of(ldm: FrozenLDM, geometry: Geometry, width: int, height: int) -> tuple[int, int]:
    """(h, w) of z for an image of width x height pixels."""
    w, h = geometry.network_size(width, height)
    return h // ldm.latent_factor, w // ldm.latent_factor


def block_shapes(ldm: FrozenLDM, grid: tuple[int, int]) -> dict[int, tuple[int, int, int]]:
    """Block index → (C, h', w') of its feature, for each of the LDM's `blocks` at z's (h, w)."""
    if not ldm.blocks:
        return {}
    names = block_names(ldm.unet_config)
    widths = ldm.unet_config.get("block_out_channels", _WIDTHS)
    levels = {index: _level(names[index], len(widths)) for index in ldm.blocks}
    return {index: (widths[level], *_halved(grid, level)) for index, level in levels.items()}


def text_shape(ldm: FrozenLDM) -> tuple[int, int]:
    """(L, D) of a prompt's hidden states. Raises ModelError when the LDM has no text encoder."""
    return ldm.text_length, ldm.text_encoder.width if ldm.text_encoder else 0


def _level(name: str, depth: int) -> int:
    """How often the UNet has halved the grid where the block stands."""
    way, *place = name.split(".")
    if way == "mid_block":
        return depth - 1
    return int(place[0]) if way == "down_blocks" else depth - 1 - int(place[0])


def _halved(grid: tuple[int, int], times: int) -> tuple[int, int]:
    """A convolution of stride 2 gives half of an odd side rounded up."""
    h, w = grid
    for _ in range(times):
        h, w = (h + 1) // 2, (w + 1) // 2
    return h, w
