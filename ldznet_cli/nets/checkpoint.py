"""A net's folder: `config.json`, `model.safetensors` and, where training kept one, the average `ema.safetensors`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from ldznet_cli.errors import ModelError
from ldznet_cli.ldm.fitting import check_fit, shapes_of
from ldznet_cli.ldm.record import check_files, sha256_of
from ldznet_cli.ldm.tensor_file import read_tensors, write_tensors
from ldznet_cli.nets.manifest import EMA, MANIFEST, RAW, NetInfo, read_info, write_info
from ldznet_cli.nets.segmenters import SegmentationNet, skeleton

Which = Literal["ema", "raw", "auto"]


def load_net(
    folder: Path | str,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    weights: Which = "auto",
) -> SegmentationNet:
    """The net of a folder, in eval().

    weights: "ema", "raw", or "auto" = the average where there is one (the authors' inference uses it)
    dtype:   float32 when None, however the weights are stored; on the CPU float32 weights stay memory-mapped
    ModelError for a folder, file or tensor that is missing or does not fit.
    """
    info = read_info(folder)
    path = weights_file(Path(folder), weights)
    net = skeleton(info.config)
    fill(net, read_tensors(path), str(path))
    return net.to(device=device, dtype=dtype or torch.float32).eval()


def save_net(
    folder: Path | str,
    net: nn.Module,
    info: NetInfo,
    *,
    ema: nn.Module | Mapping[str, Tensor] | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Writes the folder, each file whole or not at all and `config.json` last; `dtype` is what is stored.

    An average that is there from before goes when `ema` is None. DiskFull, or ModelError when it cannot be written.
    """
    folder = Path(folder)
    parts = {RAW: net.state_dict()}
    if ema is not None:
        parts[EMA] = ema.state_dict() if isinstance(ema, nn.Module) else dict(ema)
    files = {}
    for name, tensors in parts.items():
        stored = {key: value.to(dtype or value.dtype) for key, value in tensors.items()}
        write_tensors(folder / name, stored)
        files[name] = sha256_of(folder / name)
    if ema is None:
        (folder / EMA).unlink(missing_ok=True)
    write_info(folder, replace(info, files=files))


def fill(net: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Makes `tensors` the parameters of a net, without a copy; ModelError when they do not fit."""
    check_fit(shapes_of(net.state_dict()), shapes_of(tensors), where)
    net.load_state_dict(dict(tensors), assign=True)


def digest_of(folder: Path | str, weights: Which = "auto") -> str:
    """What the net's answers depend on, as one SHA-256: its shape, geometry, threshold and weights.

    From the hashes that `config.json` records; whether the files still have them is `verify`'s question.
    """
    info = read_info(folder)
    name = weights_file(Path(folder), weights).name
    if name not in info.files:
        raise ModelError(f"{Path(folder) / MANIFEST}: no hash of {name}; save the net again")
    decides = [info.config.to_dict(), info.geometry, info.threshold, info.files[name]]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def verify(folder: Path | str) -> dict[str, str]:
    """The SHA-256 of each weight file, read anew.

    ModelError naming every file that is missing, or is not what `config.json` says, or is not named there although
    `load_net` would take it.
    """
    expected = read_info(folder).files
    unnamed = [name for name in (RAW, EMA) if name not in expected and (Path(folder) / name).is_file()]
    return check_files(Path(folder), expected, MANIFEST, unnamed)


def weights_file(folder: Path, weights: Which) -> Path:
    """The file that `load_net` reads. Raises ModelError when it is not there."""
    if weights not in ("ema", "raw", "auto"):
        raise ModelError(f"weights are ema, raw or auto, not {weights!r}")
    averaged = weights == "ema" or (weights == "auto" and (folder / EMA).is_file())
    path = folder / (EMA if averaged else RAW)
    if not path.is_file():
        raise ModelError(f"{path}: no such file; the folder is not whole")
    return path
