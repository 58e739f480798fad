"""A single-file Stable Diffusion 1.x or 2.x → its parts under diffusers' names, by diffusers' own converters.

Nothing is asked of the hub: configurations are read off the tensors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from ldznet_cli.errors import ModelError, UsageError
from ldznet_cli.ldm import layout
from ldznet_cli.ldm.fitting import check_fit, shapes_of
from ldznet_cli.ldm.noise import Schedule
from ldznet_cli.ldm.single_file_text import convert_text
from ldznet_cli.ldm.weights import on_meta

Prediction = Literal["epsilon", "v_prediction"]
Chosen = Literal["raw", "ema", "frozen"]
State = Mapping[str, Tensor]

SCHEDULER: dict[str, Any] = {
    "_class_name": "PNDMScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "skip_prk_steps": True,
    "steps_offset": 1,
    "set_alpha_to_one": False,
    "clip_sample": False,
    "trained_betas": None,
}
"""Stable Diffusion's noise schedule, 1.x and 2.x alike."""

_HEAD_WIDTH = 64
"""Of an attention head in Stable Diffusion 2.x; 1.x has 8 heads at each level."""
_SIDE = {"epsilon": 512, "v_prediction": 768}
"""Pixels that 2.x was trained at; 1.x at 512."""


@dataclass(frozen=True)
class Part:
    """One network under diffusers' names: an empty model that knows its configuration, and its tensors."""

    model: Any
    tensors: dict[str, Tensor]


@dataclass(frozen=True)
class SingleFile:
    """The parts by their folders' names; the scheduler's configuration; which UNet it was; what was left, by kind."""

    parts: dict[str, Part]
    scheduler: dict[str, Any]
    version: Literal["1.x", "2.x"]
    chosen: Chosen
    ignored: dict[str, int]


def convert(
    state: State, which: Literal["raw", "ema"], prediction: Prediction | None, where: Path
) -> SingleFile:
    """The parts of a checkpoint; `where` is the file that messages name.

    In a checkpoint of LD-ZNet's training it is the frozen LDM that is meant. `prediction` is what the UNet was trained
    to predict, which a file of 2.x does not say. Raises ModelError for another model, a missing part, a key that is
    missing, misshapen or without a place; UsageError when `prediction` is needed.
    """
    whole = _frozen_ldm(state)
    unet, chosen = _unet_keys(whole, which, where)
    if whole is not state and chosen == "raw":
        chosen = "frozen"
    first_stage = {key: value for key, value in whole.items() if key.startswith(layout.FIRST_STAGE)}
    if not first_stage:
        raise ModelError(f"{where}: no first stage in it (first_stage_model.*); take a whole checkpoint")
    shape = layout.unet_shape(
        {key.removeprefix(layout.RAW).replace(".", ""): s for key, s in shapes_of(unet).items()}
    )
    if shape.in_channels != 4:
        raise ModelError(f"{where} takes {shape.in_channels} channels, as inpainting models do: 4 are needed")
    version: Literal["1.x", "2.x"] = "2.x" if shape.use_linear_projection else "1.x"
    if version == "2.x" and prediction is None:
        raise UsageError(
            f"{where} is a Stable Diffusion 2.x, which does not say what it predicts: give --prediction epsilon "
            "(2-base, 512 pixels) or v_prediction (2 and 2.1, 768 pixels)"
        )
    scheduler = {**SCHEDULER, "prediction_type": prediction or "epsilon"}
    _check_schedule(whole, scheduler, where)
    side = _SIDE[prediction or "epsilon"]
    parts = {
        "unet": _unet(unet, shape, side, where),
        "vae": _first_stage(first_stage, where),
        "text_encoder": Part(*convert_text(whole, shape.cross_attention_dim, where)),
    }
    used = unet.keys() | first_stage.keys()
    ignored = Counter(
        _what(key) for key in whole if key not in used and not key.startswith("cond_stage_model.")
    )
    return SingleFile(parts, scheduler, version, chosen, dict(ignored))


def _frozen_ldm(state: State) -> State:
    """The keys of the frozen LDM as they are in a checkpoint of its own; what it lacks is looked for beside it."""
    if not any(key.startswith(layout.FROZEN) for key in state):
        return state
    prefix = layout.FROZEN.removesuffix(layout.RAW)
    outer = {
        key: value for key, value in state.items() if not key.startswith((prefix, layout.RAW, layout.EMA))
    }
    return outer | {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _unet_keys(state: State, which: Literal["raw", "ema"], where: Path) -> tuple[dict[str, Tensor], Chosen]:
    """The UNet's tensors under their raw names, whichever they are."""
    raw = {key: value for key, value in state.items() if key.startswith(layout.RAW)}
    if (kind := layout.kind_of(state)) != "Stable Diffusion":
        raise ModelError(
            f"{where} seems to be {kind}: expected a whole checkpoint of Stable Diffusion 1.x or 2.x"
        )
    if which == "raw":
        return raw, "raw"
    names = {key: layout.ema_name(key.removeprefix(layout.RAW)) for key in raw}
    if missing := [name for name in names.values() if name not in state]:
        some = f"{len(missing)} of {len(names)} averaged weights are not in it, such as {missing[0]}"
        raise ModelError(f"{where}: {some}; take the raw ones: --raw")
    return {key: state[name] for key, name in names.items()}, "ema"


def _unet(tensors: dict[str, Tensor], shape: layout.UNetShape, side: int, where: Path) -> Part:
    widths = list(shape.block_out_channels)
    layers = max(shape.layers_per_block, default=2)
    heads: int | list[int] = [width // _HEAD_WIDTH for width in widths] if shape.use_linear_projection else 8
    config = {
        "sample_size": side // 8,
        "block_out_channels": widths,
        "down_block_types": [f"{'CrossAttn' if at else ''}DownBlock2D" for at in shape.attention],
        "up_block_types": [f"{'CrossAttn' if at else ''}UpBlock2D" for at in reversed(shape.attention)],
        "layers_per_block": layers,
        "cross_attention_dim": shape.cross_attention_dim,
        "attention_head_dim": heads,
        "use_linear_projection": shape.use_linear_projection,
    }
    with on_meta(where):
        from diffusers import UNet2DConditionModel
        from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

        model = UNet2DConditionModel(**config)
        return _checked(model, convert_ldm_unet_checkpoint(tensors, config), tensors, where)


def _first_stage(tensors: dict[str, Tensor], where: Path) -> Part:
    bare = {key.removeprefix(layout.FIRST_STAGE): shape for key, shape in shapes_of(tensors).items()}
    levels = sorted({int(key.split(".")[2]) for key in bare if key.startswith("encoder.down.")})
    if not levels:
        raise ModelError(f"{where}: no encoder in its first stage (encoder.down.*); take a whole checkpoint")
    blocks = {key.split(".")[4] for key in bare if key.startswith("encoder.down.0.block.")}
    widths = [bare.get(f"encoder.down.{level}.block.0.conv1.weight", (0,))[0] for level in levels]
    config = {
        "block_out_channels": widths,
        "down_block_types": ["DownEncoderBlock2D"] * len(levels),
        "up_block_types": ["UpDecoderBlock2D"] * len(levels),
        "layers_per_block": len(blocks),
        "latent_channels": bare.get("post_quant_conv.weight", (4,))[0],
        "sample_size": 512,
        "scaling_factor": 0.18215,
    }
    with on_meta(where):
        from diffusers import AutoencoderKL
        from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

        model = AutoencoderKL(**config)
        return _checked(model, convert_ldm_vae_checkpoint(tensors, config), tensors, where)


def _checked(model: Any, converted: dict[str, Tensor], given: State, where: Path) -> Part:
    """Every key of the model is there, and every one of the checkpoint has a place."""
    check_fit(shapes_of(model.state_dict()), shapes_of(converted), f"{where}, under diffusers' names")
    if len(converted) != len(given):
        taken = {value.data_ptr() for value in converted.values()}
        strange = [key for key, value in given.items() if value.data_ptr() not in taken]
        raise ModelError(
            f"{where}: {len(strange)} keys have no place in Stable Diffusion, such as {strange[0]}"
        )
    return Part(model, converted)


def _check_schedule(state: State, scheduler: dict[str, Any], where: Path) -> None:
    held = state.get("alphas_cumprod")
    ours = Schedule.from_config(scheduler).alphas_cumprod
    if held is None:
        return
    # Some programs store all that there is in half precision.
    rounded = 1e-4 if held.dtype.itemsize > 2 else 5e-3
    if held.shape != ours.shape or bool((held.double() - ours).abs().max() > rounded):
        raise ModelError(f"{where}: its noise schedule (alphas_cumprod) is not Stable Diffusion's")


def _what(key: str) -> str:
    if key.startswith((layout.EMA, layout.RAW)):
        return "the UNet's other weights"
    return "noise schedule and others"
