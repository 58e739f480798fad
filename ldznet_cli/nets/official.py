"""The authors' names for our parameters: Stable Diffusion's own layout, and `final.*` for the head."""

from __future__ import annotations

import re

from ldznet_cli.nets.config import NetConfig, UNetConfig
from ldznet_cli.nets.segmenters import skeleton

_FIXED = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}
_RES_BLOCK = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_PLACE = re.compile(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)")


def official_name(key: str, unet: UNetConfig) -> str:
    """The authors' name of one of our parameters. `final.*` (and `stem.*`, which they do not have) stay."""
    for ours, theirs in _FIXED.items():
        if key.startswith(f"{ours}."):
            rest = key.removeprefix(f"{ours}.")
            return f"{theirs}.{_in_res_block(rest) if '.resnets.' in ours + '.' else rest}"
    placed = _PLACE.fullmatch(key)
    return _placed_name(placed, unet) if placed else key


def _placed_name(placed: re.Match[str], unet: UNetConfig) -> str:
    """Theirs count all layers and downsamplers of the way down in one row, and all layers of the way up."""
    way, stage, part, layer, rest = placed[1], int(placed[2]), placed[3], int(placed[4]), placed[5]
    if way == "down":
        row = 1 + sum(unet.layers_per_block[:stage]) + stage
        row += unet.layers_per_block[stage] if part == "downsamplers" else layer
        name = f"input_blocks.{row}"
    else:
        layers = [n + 1 for n in reversed(unet.layers_per_block)]
        name = f"output_blocks.{sum(layers[:stage]) + (layers[stage] - 1 if part == 'upsamplers' else layer)}"
    if part == "resnets":
        return f"{name}.0.{_in_res_block(rest)}"
    if part == "attentions":
        return f"{name}.1.{rest}"
    if part == "downsamplers":
        return f"{name}.0.op.{rest.removeprefix('conv.')}"
    # An upsampler is the last of its row: after the res-block, and the spatial transformer where there is one.
    return f"{name}.{2 if unet.up_attention[unet.levels - 1 - stage] else 1}.{rest}"


def _in_res_block(rest: str) -> str:
    module, _, leaf = rest.partition(".")
    return f"{_RES_BLOCK[module]}.{leaf}"


def official_names(config: NetConfig) -> dict[str, str]:
    """{our key: the authors' key} for every parameter of a net."""
    return {key: official_name(key, config.unet) for key in skeleton(config).state_dict()}
