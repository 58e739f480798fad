"""The authors' checkpoint → our net: which keys are the net's, what net they make, what is left and why.

A checkpoint holds the net as `model.diffusion_model.<key>` (raw) and `model_ema.diffusion_model<key without dots>`
(average), beside the frozen parts and what training keeps; or it is the bare state dict (parity fact 1).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from ldznet_cli.errors import ModelError
from ldznet_cli.ldm import layout
from ldznet_cli.ldm.fitting import Shapes, check_fit, shapes_of
from ldznet_cli.nets.builders import fitted
from ldznet_cli.nets.checkpoint import Which
from ldznet_cli.nets.config import NetConfig, UNetConfig
from ldznet_cli.nets.numbering import attention_blocks
from ldznet_cli.nets.official import official_name, official_names
from ldznet_cli.nets.segmenters import skeleton

Layout = Literal["ema", "raw", "bare"]

_AVERAGE = layout.EMA + "diffusion_model"
_PREFIX: dict[Layout, str] = {"ema": _AVERAGE, "raw": layout.RAW, "bare": ""}
_HEADS = 8
"""Attention heads at each level, which no tensor tells: Stable Diffusion 1.x's."""

_OTHERS = {
    layout.RAW: ("raw weights of the net", "the average was asked for, or is what inference uses"),
    _AVERAGE: ("averaged weights of the net", "the raw ones were asked for"),
    layout.EMA: ("counters of the average", "training alone needs them"),
    layout.FROZEN: (
        "frozen UNet",
        "the LDM is a folder of its own: `ldznet weights import-ldm` takes it out",
    ),
    "sd_features_stage_model.": ("other parts of the frozen LDM", "the LDM is a folder of its own"),
    layout.FIRST_STAGE: ("frozen first stage", "the LDM is a folder of its own"),
    "cond_stage_model.": ("frozen text encoder", "the LDM is a folder of its own"),
    "": ("noise schedule and others", "no part of the net"),
}
"""Key prefix → what a key is that is not the net's, and why it is left."""


@dataclass(frozen=True)
class Ignored:
    """`count` keys that were left: what they are, and why."""

    what: str
    count: int
    why: str


@dataclass(frozen=True)
class Imported:
    """A net out of a checkpoint: its tensors under our keys, which weights they are, and what was left."""

    config: NetConfig
    tensors: dict[str, Tensor]
    weights: Layout
    ignored: tuple[Ignored, ...]


def import_official(
    state: Mapping[str, Tensor],
    which: Which = "auto",
    *,
    ldm_unet: UNetConfig | None = None,
    where: str = "the checkpoint",
) -> Imported:
    """The segmentation net in a checkpoint's state dict.

    which:    "ema", "raw", or "auto" = the average where there is one, as in the authors' inference
    ldm_unet: the UNet of the LDM that the net belongs to: it knows attention heads and the like, which no tensor
              tells; Stable Diffusion 1.x's are taken for granted without
    where:    what messages call the checkpoint
    ModelError when there is no segmentation net in it, when the chosen weights are not there, when the net is not the
    LDM's, or for a key that is missing, misshapen or unknown, with the name it should have in the file.
    """
    weights = _choose(state, which, where)
    found = {key: tuple(value.shape) for key, value in state.items() if _belongs(key, weights)}
    bare = {key.removeprefix(_PREFIX[weights]).replace(".", ""): shape for key, shape in found.items()}
    if not any(key.startswith("final") for key in bare):
        raise ModelError(_no_net(state, where))
    if any(key.startswith("down_blocks") for key in bare):
        raise ModelError(f"{where} is a net of ldznet's own: its folder is what --model takes")
    if not any(key.startswith("input_blocks") for key in bare):
        raise ModelError(f"{where}: a head (final.*) without its U-Net (input_blocks.*); copy the file anew")
    config = _configuration(bare, ldm_unet, where)
    ours = {key: _name(official, weights) for key, official in official_names(config).items()}
    expected = {ours[key]: shape for key, shape in shapes_of(skeleton(config).state_dict()).items()}
    check_fit(expected, found, where)
    left = Counter(_what(key) for key in state if key not in found)
    ignored = tuple(Ignored(what, count, why) for (what, why), count in left.items())
    return Imported(config, {key: state[name] for key, name in ours.items()}, weights, ignored)


def same_frozen_unet(
    state: Mapping[str, Tensor], ldm_unet: UNetConfig, ldm: Mapping[str, Tensor]
) -> bool | None:
    """Whether the frozen UNet in a checkpoint is that of an LDM (diffusers' keys), to the LDM's precision.

    None when there is none in it.
    """
    if not any(key.startswith(layout.FROZEN) for key in state):
        return None
    theirs = {key: state.get(layout.FROZEN + official_name(key, ldm_unet)) for key in ldm}
    return all(
        found is not None
        and found.shape == ldm[key].shape
        and bool((found.to(ldm[key].dtype) == ldm[key]).all())
        for key, found in theirs.items()
    )


def _choose(state: Mapping[str, Tensor], which: Which, where: str) -> Layout:
    raw = any(key.startswith(layout.RAW) for key in state)
    ema = any(key.startswith(_AVERAGE) for key in state)
    if which == "ema" and not ema:
        raise ModelError(f"{where} holds no averaged weights (model_ema.*); take the raw ones: --raw")
    if which == "raw" and ema and not raw:
        raise ModelError(f"{where} holds averaged weights alone (model_ema.*); take those: --ema")
    if ema and which != "raw":
        return "ema"
    return "raw" if raw else "bare"


def _belongs(key: str, weights: Layout) -> bool:
    if weights == "bare":
        return _what(key) == _OTHERS[""]
    return key.startswith(_PREFIX[weights])


def _name(official: str, weights: Layout) -> str:
    """A parameter's key in the file."""
    return layout.ema_name(official) if weights == "ema" else _PREFIX[weights] + official


def _no_net(state: Mapping[str, Tensor], where: str) -> str:
    kind = layout.kind_of(state)
    advice = "expected the checkpoint of LD-ZNet or ZNet"
    if kind == "Stable Diffusion":
        advice = "that is for `ldznet weights import-ldm`"
    return f"{where}: no segmentation net in it (no final.* among its keys); it seems to be {kind}: {advice}"


def _what(key: str) -> tuple[str, str]:
    return next(told for prefix, told in _OTHERS.items() if key.startswith(prefix))


def _configuration(shapes: Shapes, ldm_unet: UNetConfig | None, where: str) -> NetConfig:
    """The net that has these parameters (keys bare and without dots)."""
    unet = _unet(layout.unet_shape(shapes), ldm_unet, where)
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


def _unet(shape: layout.UNetShape, ldm_unet: UNetConfig | None, where: str) -> UNetConfig:
    told: dict[str, Any] = {
        "block_out_channels": shape.block_out_channels,
        "down_attention": shape.attention,
        "up_attention": shape.attention,
        "layers_per_block": shape.layers_per_block,
        "cross_attention_dim": shape.cross_attention_dim,
        "use_linear_projection": shape.use_linear_projection,
    }
    if ldm_unet is None:
        levels = len(shape.block_out_channels)
        return UNetConfig(**told, transformer_layers=(1,) * levels, attention_heads=(_HEADS,) * levels)
    for name, found in told.items():
        if found != (expected := getattr(ldm_unet, name)):
            raise ModelError(
                f"{where}: its net has {name} {found}, the UNet of --ldm {expected}: give the LDM that the net was "
                "trained with"
            )
    return ldm_unet
