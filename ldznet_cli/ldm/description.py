"""What a latent diffusion model's folder is, as plain data off configurations and headers; nothing is loaded."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

from ldznet_cli.ldm.blocks import block_names, paper_blocks
from ldznet_cli.ldm.digests import digests_of_parts
from ldznet_cli.ldm.folder import LdmParts, find_parts, read_json, weight_files
from ldznet_cli.ldm.record import read_record
from ldznet_cli.ldm.unet import check_unet_config
from ldznet_cli.ldm.weights import Weights


def describe(folder: Path) -> dict[str, Any]:
    """Parts with their parameters, blocks, digests, source.

    Raises WeightsUnavailable for a folder that is not whole, ModelError for another architecture.
    """
    parts = find_parts(folder)
    record = read_record(folder)
    return {
        "kind": "ldm",
        "source": record.source if record else None,
        "parts": _parts(parts),
        **(_unet(parts) if parts.unet else {}),
        "digests": digests_of_parts(parts).to_dict(),
    }


def size_of_tensors(files: tuple[Path, ...]) -> int:
    """How many numbers the files hold."""
    return sum(prod(shape) for shape in Weights(files).shapes().values())


def _parts(parts: LdmParts) -> dict[str, dict[str, Any]]:
    found = {}
    for name, folder in (
        ("unet", parts.unet),
        ("vae", parts.first_stage),
        ("text_encoder", parts.text_encoder),
    ):
        if folder is not None:
            config, files = read_json(folder / "config.json"), weight_files(folder, name)
            found[name] = {
                "class": config.get("_class_name") or (config.get("architectures") or ["CLIPTextModel"])[0],
                "parameters": size_of_tensors(files),
                "bytes": sum(path.stat().st_size for path in files),
            }
    return found


def _unet(parts: LdmParts) -> dict[str, Any]:
    assert parts.unet is not None
    config = read_json(parts.unet / "config.json")
    check_unet_config(parts.unet, config, None)
    return {
        "blocks": len(block_names(config)),
        "paper_blocks": list(paper_blocks(config)),
        "text_width": config.get("cross_attention_dim"),
        "sample_size": config.get("sample_size"),
    }
