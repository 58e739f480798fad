"""Stable Diffusion's single-file layout (CompVis): the parts' prefixes, what tensors tell of a UNet's shape."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ldznet_cli.ldm.fitting import Shapes

RAW: Final = "model.diffusion_model."
EMA: Final = "model_ema."
FROZEN: Final = "sd_features_stage_model.model.model.diffusion_model."
"""The frozen UNet inside a checkpoint of LD-ZNet's training, where `model.diffusion_model.` is the net."""
FIRST_STAGE: Final = "first_stage_model."
CLIP, OPEN_CLIP = "cond_stage_model.transformer.", "cond_stage_model.model."
"""The text encoder of Stable Diffusion 1.x, and of 2.x."""

_SIGNS: tuple[tuple[str, str], ...] = (
    ("lora_", "a LoRA file, which holds changes to a model and no model"),
    ("conditioner.embedders.", "Stable Diffusion XL"),
    ("joint_blocks.", "Stable Diffusion 3"),
    ("double_blocks.", "FLUX"),
    ("control_model.", "a ControlNet"),
    (RAW + "final.", "a checkpoint of LD-ZNet"),
    (RAW + "input_blocks.", "Stable Diffusion"),
    ("down_blocks.", "a UNet or a first stage under diffusers' names"),
    ("text_model.", "a text encoder"),
)


def kind_of(keys: Iterable[str]) -> str:
    """What a file with such keys seems to be, in words: the first sign that any of them has."""
    held = list(keys)
    found = (what for sign, what in _SIGNS if any(sign in key.lower() for key in held))
    return next(found, f"unknown, with keys such as {held[0]}" if held else "empty")


def ema_name(official: str) -> str:
    """What the average of a UNet's parameter is called: the bare name without its dots."""
    return EMA + f"{RAW.removeprefix('model.')}{official}".replace(".", "")


@dataclass(frozen=True)
class UNetShape:
    """What tensors tell of a UNet; finest level first. Heads, groups and the schedule they do not tell."""

    block_out_channels: tuple[int, ...]
    attention: tuple[bool, ...]
    layers_per_block: tuple[int, ...]
    cross_attention_dim: int
    use_linear_projection: bool
    in_channels: int


def unet_shape(shapes: Shapes) -> UNetShape:
    """From the official keys, bare and without dots, so that raw and averaged weights look alike.

    A single missing key does not change it: what is missing is for the caller to find, and to name.
    """
    widths, attention, layers = _way_down(shapes)
    texts = [shape[1] for key, shape in shapes.items() if key.endswith("attn2to_kweight") and len(shape) == 2]
    projections = [len(shape) for key, shape in shapes.items() if key.endswith("proj_inweight")]
    return UNetShape(
        block_out_channels=widths,
        attention=attention,
        layers_per_block=layers,
        cross_attention_dim=max(set(texts), key=texts.count) if texts else 0,
        use_linear_projection=projections[:1] == [2],
        in_channels=shapes.get("input_blocks00weight", (0, 4))[1],
    )


def _way_down(shapes: Shapes) -> tuple[tuple[int, ...], tuple[bool, ...], tuple[int, ...]]:
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
