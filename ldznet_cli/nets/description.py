"""What a net folder is, as plain data; read off `config.json` and headers, nothing is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ldznet_cli.ldm.description import size_of_tensors
from ldznet_cli.ldm.folder import read_json
from ldznet_cli.nets.checkpoint import weights_file
from ldznet_cli.nets.manifest import read_info


def is_net(folder: Path) -> bool:
    """Whether its config.json is a net's, rather than one of diffusers or transformers, or none."""
    path = folder / "config.json"
    return path.is_file() and not {"_class_name", "model_type"} & read_json(path).keys()


def describe(folder: Path) -> dict[str, Any]:
    """The net, what it was made to be used with, its files. Raises ModelError for a folder that is not whole."""
    info = read_info(folder)
    used = weights_file(folder, "auto")
    unet = info.config.unet
    return {
        "kind": info.config.kind,
        "parameters": size_of_tensors((used,)),
        "blocks": list(info.config.blocks),
        "fusion": info.config.fusion,
        "widths": list(unet.block_out_channels),
        "text_width": unet.cross_attention_dim,
        "head_width": info.config.head_width,
        "geometry": info.geometry,
        "threshold": info.threshold,
        "timesteps": list(info.timesteps),
        "ldm": {"name": info.ldm_name, "digests": info.ldm_digests},
        "weights": used.name,
        "files": info.files,
        "training": info.training,
        "tuning": info.tuning,
    }
