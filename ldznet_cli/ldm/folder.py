"""A latent diffusion model on disk: a diffusers pipeline folder, or a lone first stage; where its parts lie."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ldznet_cli.errors import ModelError, WeightsUnavailable
from ldznet_cli.ldm.hub import WEIGHT_STEMS, download, fetch

FIRST_STAGES = ("AutoencoderKL", "AutoencoderTiny")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


@dataclass(frozen=True)
class LdmParts:
    """The folders of the parts; None is a part that the model does not have."""

    first_stage: Path
    text_encoder: Path | None
    tokenizer: Path | None
    unet: Path | None
    scheduler: Path | None


def resolve(
    path_or_hub_id: str | Path,
    *,
    revision: str | None = None,
    offline: bool = False,
    parts: tuple[str, ...] = ("unet", "vae", "text_encoder", ""),
) -> Path:
    """The local folder of a model: the given folder itself, or where the hub's files of `parts` were put.

    Raises WeightsUnavailable: no such folder, unknown or gated hub id, no network.
    """
    folder = Path(path_or_hub_id).expanduser()
    if folder.is_file():
        hint = f"`ldznet weights import-ldm {folder} --out DIR` makes one of a single-file checkpoint"
        raise WeightsUnavailable(f"{folder} is a file: a diffusers folder is needed ({hint})")
    if folder.is_dir():
        return folder
    return download(checked_hub_id(path_or_hub_id), revision=revision, offline=offline, parts=parts)


def resolve_files(name: str | Path, patterns: list[str], *, offline: bool = False) -> Path:
    """As `resolve`, for a model of any kind of which the files that fit `patterns` are needed."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    return fetch(checked_hub_id(folder if folder.exists() else name), patterns, offline=offline)


def checked_hub_id(name: str | Path) -> str:
    """Raises WeightsUnavailable for what has not the form of a hub id, as a folder that is not there."""
    if not isinstance(name, str) or not _HUB_ID.fullmatch(name):
        raise WeightsUnavailable(f"no folder {name} here, and a hub id has the form owner/name")
    return name


def find_parts(folder: Path, vae: Path | None = None) -> LdmParts:
    """Where the parts lie in `folder`; `vae` is the folder of another first stage (lone, or a pipeline's).

    Raises WeightsUnavailable when `folder` is no model's, or lacks a part that its model_index.json names.
    """
    index = read_json(folder / "model_index.json") if (folder / "model_index.json").is_file() else {}
    for part in ("unet", "vae", "text_encoder", "tokenizer", "scheduler"):
        entry = index.get(part)
        named = isinstance(entry, list) and bool(entry) and entry[-1] is not None
        if named and not (folder / part).is_dir() and not (part == "vae" and vae):
            where = f"{folder} is incomplete: its model_index.json"
            raise WeightsUnavailable(f"{where} names a {part}, but {part}/ is missing")
    first_stage = _first_stage(vae or folder)
    if vae is None and first_stage == folder:
        return LdmParts(folder, None, None, None, None)
    there = {part: _part(folder, part) for part in ("text_encoder", "tokenizer", "unet", "scheduler")}
    return LdmParts(first_stage, **there)


def _part(folder: Path, part: str) -> Path | None:
    return folder / part if (folder / part).is_dir() else None


def _first_stage(folder: Path) -> Path:
    if (folder / "vae").is_dir():
        return folder / "vae"
    config = read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
    if config.get("_class_name") in FIRST_STAGES:
        return folder
    raise WeightsUnavailable(f"{folder} is no diffusers folder of a latent diffusion model: it holds no vae/")


def weight_files(folder: Path, part: str) -> tuple[Path, ...]:
    """The safetensors files of one part (a key of WEIGHT_STEMS): one file, or the shards that its index names.

    Raises WeightsUnavailable when there are none, with a hint where there are pickles.
    """
    stem = WEIGHT_STEMS[part]
    index = folder / f"{stem}.safetensors.index.json"
    if (whole := folder / f"{stem}.safetensors").is_file():
        return (whole,)
    if index.is_file():
        return _shards(index)
    if (half := folder / f"{stem}.fp16.safetensors").is_file():
        return (half,)
    hint = ""
    if any(folder.glob("*.bin")) or any(folder.glob("*.ckpt")):
        hint = ": PyTorch's .bin files are pickles and are not read, convert them to safetensors"
    raise WeightsUnavailable(f"{folder} holds no {stem}.safetensors{hint}")


def has_weights(folder: Path, part: str) -> bool:
    """Whether all the weights of a part are there."""
    try:
        return bool(weight_files(folder, part))
    except WeightsUnavailable:
        return False


def _shards(index: Path) -> tuple[Path, ...]:
    names = sorted(set(read_json(index).get("weight_map", {}).values()))
    for name in names:
        if Path(name).name != name or not (index.parent / name).is_file():
            raise WeightsUnavailable(f"{index} names {name}, which is not in its folder")
    if not names:
        raise WeightsUnavailable(f"{index} names no weight files")
    return tuple(index.parent / name for name in names)


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`. Raises WeightsUnavailable when it is missing, ModelError when it is damaged."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise WeightsUnavailable(f"{path} is missing") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not readable as JSON: {error}") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} holds a JSON {type(value).__name__}, not an object")
    return value
