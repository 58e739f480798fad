"""The authors' names for our parameters, and their checkpoints as our nets.

A checkpoint holds the net as `model.diffusion_model.<key>` (raw) and `model_ema.diffusion_model<key without dots>`
(average), beside the frozen parts and what training keeps; or it is the bare state dict (parity fact 1).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from ldznet_cli.errors import ModelError
from ldznet_cli.nets.builders import fitted
from ldznet_cli.nets.config import NetConfig, UNetConfig
from ldznet_cli.nets.fitting import check_fit, shapes_of
from ldznet_cli.nets.numbering import attention_blocks
from ldznet_cli.nets.segmenters import skeleton

RAW_PREFIX, EMA_PREFIX = "model.diffusion_model.", "model_ema."
Which = Literal["ema", "raw", "auto"]

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


def ema_name(official: str) -> str:
    """What the average of a parameter is called in a checkpoint."""
    return EMA_PREFIX + f"diffusion_model.{official}".replace(".", "")


@dataclass(frozen=True)
class Imported:
    """A net out of a checkpoint: its configuration, its tensors under our keys, which ones they are ("ema", "raw"
    or "bare"), and how many other keys were left, by what they are."""

    config: NetConfig
    tensors: dict[str, Tensor]
    weights: str
    ignored: dict[str, int]


def import_official(state: Mapping[str, Tensor], which: Which = "auto", *, heads: int = 8) -> Imported:
    """The segmentation net in a checkpoint's state dict.

    which: "ema", "raw", or "auto" = the average where there is one, as in the authors' inference
    heads: attention heads, which no tensor tells; 8 in Stable Diffusion 1.x
    ModelError when there is no segmentation net in it, when the chosen weights are not there, or for a key that is
    missing, misshapen or unknown, with the name it should have in the file.
    """
    names = _Names.of(state, which)
    shapes = {names.bare(key): tuple(value.shape) for key, value in state.items() if names.belongs(key)}
    if not any(key.startswith("final") for key in shapes):
        raise ModelError(
            "no segmentation net in this file (no final.* among its keys); Stable Diffusion's own checkpoints are "
            "for `ldznet weights import-ldm`"
        )
    config = _configuration(shapes, heads)
    ours = {key: names.full(official) for key, official in official_names(config).items()}
    expected = {ours[key]: shape for key, shape in shapes_of(skeleton(config).state_dict()).items()}
    found = {key: tuple(value.shape) for key, value in state.items() if names.belongs(key)}
    check_fit(expected, found, "the checkpoint")
    left = Counter(_what(key) for key in state if not names.belongs(key))
    return Imported(config, {key: state[name] for key, name in ours.items()}, names.layout, dict(left))


@dataclass(frozen=True)
class _Names:
    """How keys of the chosen weights are written. `bare` is without dots, so that all layouts look alike."""

    layout: Literal["ema", "raw", "bare"]

    @classmethod
    def of(cls, state: Mapping[str, Tensor], which: Which) -> _Names:
        raw = any(key.startswith(RAW_PREFIX) for key in state)
        ema = any(key.startswith(EMA_PREFIX + "diffusion_model") for key in state)
        if which == "ema" and not ema:
            raise ModelError("the checkpoint holds no averaged weights (model_ema.*); take the raw ones")
        if which == "raw" and ema and not raw:
            raise ModelError("the checkpoint holds averaged weights alone (model_ema.*); take those")
        if ema and which != "raw":
            return cls("ema")
        return cls("raw" if raw else "bare")

    def full(self, official: str) -> str:
        if self.layout == "ema":
            return ema_name(official)
        return RAW_PREFIX + official if self.layout == "raw" else official

    def belongs(self, key: str) -> bool:
        prefixes = {"ema": EMA_PREFIX + "diffusion_model", "raw": RAW_PREFIX, "bare": ""}
        return key.startswith(prefixes[self.layout])

    def bare(self, key: str) -> str:
        prefixes = {"ema": EMA_PREFIX + "diffusion_model", "raw": RAW_PREFIX, "bare": ""}
        return key.removeprefix(prefixes[self.layout]).replace(".", "")


_OTHERS = {
    RAW_PREFIX: "raw weights of the net",
    EMA_PREFIX: "averaged weights of the net, and their counters",
    "sd_features_stage_model.": "frozen LDM",
    "first_stage_model.": "frozen first stage",
    "cond_stage_model.": "frozen text encoder",
}


def _what(key: str) -> str:
    return next(
        (what for prefix, what in _OTHERS.items() if key.startswith(prefix)), "noise schedule and others"
    )


def _configuration(shapes: Mapping[str, tuple[int, ...]], heads: int) -> NetConfig:
    """The net that has these parameters (keys without dots), Stable Diffusion's conventions taken for granted."""
    widths, attention, layers = _way_down(shapes)
    texts = [shape[1] for key, shape in shapes.items() if key.endswith("attn2to_kweight") and len(shape) == 2]
    projections = [len(shape) for key, shape in shapes.items() if key.endswith("proj_inweight")]
    unet = UNetConfig(
        block_out_channels=widths,
        down_attention=attention,
        up_attention=attention,
        layers_per_block=layers,
        transformer_layers=(1,) * len(widths),
        attention_heads=(heads,) * len(widths),
        cross_attention_dim=max(set(texts), key=texts.count) if texts else 0,
        use_linear_projection=projections[:1] == [2],
    )
    head = shapes.get("final0weight", (1,))[0]
    sides = {}
    for block in attention_blocks(unet):
        flat = official_name(f"{block.name}.norm.weight", unet).removesuffix("norm.weight").replace(".", "")
        embedding = shapes.get(f"{flat}attentionpool2Dpositional_embedding")
        if embedding is not None or f"{flat}transformer_blocks0attn3to_qweight" in shapes:
            sides[block.index] = math.isqrt(embedding[1] - 1) << block.level if embedding else 0
    kind: Literal["ldznet", "znet"] = "ldznet" if sides else "znet"
    side = max(sides.values(), default=0) or 48
    return fitted(unet, kind, None, head, tuple(sides), side, positions="count")


def _way_down(
    shapes: Mapping[str, tuple[int, ...]],
) -> tuple[tuple[int, ...], tuple[bool, ...], tuple[int, ...]]:
    """Width, attention and layers of each level, from the rows of `input_blocks`."""
    levels: list[tuple[int, bool]] = []
    widths, attention, layers = [], [], []
    row = 1
    while True:
        conv = shapes.get(f"input_blocks{row}0in_layers2weight") or shapes.get(
            f"input_blocks{row}0in_layers2bias"
        )
        if conv:
            levels.append((conv[0], f"input_blocks{row}1normweight" in shapes))
        if not conv or f"input_blocks{row + 1}0opweight" in shapes:
            if levels:
                widths.append(levels[-1][0])
                attention.append(any(attends for _, attends in levels))
                layers.append(len(levels))
                levels = []
            if not conv:
                return tuple(widths), tuple(attention), tuple(layers)
            row += 1
        row += 1
