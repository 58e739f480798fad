"""The text encoder of a single-file Stable Diffusion: CLIP in 1.x, OpenCLIP in 2.x → transformers' CLIPTextModel."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from torch import Tensor

from ldznet_cli.errors import ModelError
from ldznet_cli.ldm import layout
from ldznet_cli.ldm.fitting import check_fit, shapes_of
from ldznet_cli.ldm.weights import on_meta

_WRAPPER = "text_model."
"""Before all keys of the hub's files; newer versions of transformers leave it out of the model."""
_POSITIONS = "embeddings.position_ids"
_HEAD_WIDTH = 64
"""Of an attention head in every CLIP text encoder."""
_BLOCK = re.compile(r"transformer\.resblocks\.(\d+)\.")


def convert_text(state: Mapping[str, Tensor], width: int, where: Path) -> tuple[Any, dict[str, Tensor]]:
    """(an empty CLIPTextModel, its tensors under the names of the hub's files), `width` wide.

    Raises ModelError when there is no text encoder, when it is not what a UNet of `width` takes, or for a key that is
    missing, misshapen or without a place.
    """
    if any(key.startswith(layout.CLIP) for key in state):
        tensors, activation = _clip(state), "quick_gelu"
    elif any(key.startswith(layout.OPEN_CLIP) for key in state):
        tensors, activation = _open_clip(state), "gelu"
    else:
        raise ModelError(f"{where}: no text encoder in it (cond_stage_model.*); take a whole checkpoint")
    words = tensors.get("embeddings.token_embedding.weight")
    if words is None or words.shape[1] != width:
        found = "none" if words is None else words.shape[1]
        raise ModelError(f"{where}: the UNet takes text of width {width}, its text encoder's is {found}")
    model = _empty_model(tensors, activation, where)
    check_fit(shapes_of(model.state_dict()), shapes_of(tensors), f"{where}, under transformers' names")
    return model, {_WRAPPER + key: value for key, value in tensors.items()}


def _clip(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    from diffusers.loaders.single_file_utils import convert_ldm_clip_checkpoint

    converted = convert_ldm_clip_checkpoint(dict(state))
    bare = {key.removeprefix(_WRAPPER): value for key, value in converted.items()}
    return {key: value for key, value in bare.items() if key != _POSITIONS}


def _open_clip(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the last layer, the projection and the temperature: Stable Diffusion 2.x reads the layer before."""
    from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint

    rest = {
        key.removeprefix(layout.OPEN_CLIP): value
        for key, value in state.items()
        if key.startswith(layout.OPEN_CLIP)
    }
    last = max((int(found[1]) for key in rest if (found := _BLOCK.match(key))), default=0)
    beyond = (f"transformer.resblocks.{last}.", "text_projection", "logit_scale")
    kept = {layout.OPEN_CLIP + key: value for key, value in rest.items() if not key.startswith(beyond)}
    size = len(rest["ln_final.weight"]) if "ln_final.weight" in rest else 0
    stub = SimpleNamespace(config=SimpleNamespace(hidden_size=size))
    converted = convert_open_clip_checkpoint(stub, kept, prefix=layout.OPEN_CLIP)
    return {key.removeprefix(_WRAPPER): value for key, value in converted.items()}


def _empty_model(tensors: Mapping[str, Tensor], activation: str, where: Path) -> Any:
    words = tensors["embeddings.token_embedding.weight"]
    inner = tensors.get("encoder.layers.0.mlp.fc1.weight")
    with on_meta(where):
        from transformers import CLIPTextConfig, CLIPTextModel

        config = CLIPTextConfig(
            vocab_size=words.shape[0],
            hidden_size=words.shape[1],
            intermediate_size=4 * words.shape[1] if inner is None else inner.shape[0],
            num_hidden_layers=len(
                {key.split(".")[2] for key in tensors if key.startswith("encoder.layers.")}
            ),
            num_attention_heads=max(1, words.shape[1] // _HEAD_WIDTH),
            max_position_embeddings=_positions(tensors),
            hidden_act=activation,
            projection_dim=words.shape[1],
            bos_token_id=words.shape[0] - 2,
            eos_token_id=words.shape[0] - 1,
            pad_token_id=words.shape[0] - 1,
            architectures=["CLIPTextModel"],
        )
        return CLIPTextModel(config)


def _positions(tensors: Mapping[str, Tensor]) -> int:
    table = tensors.get("embeddings.position_embedding.weight")
    return 77 if table is None else table.shape[0]
