"""A net's folder: `config.json`, `model.safetensors` and, where training kept one, the average `ema.safetensors`."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ldznet_cli.errors import DiskFull, ModelError
from ldznet_cli.nets.fitting import fill
from ldznet_cli.nets.manifest import EMA, MANIFEST, RAW, NetInfo, read_info
from ldznet_cli.nets.segmenters import SegmentationNet, skeleton

Weights = Literal["ema", "raw", "auto"]


def load_net(
    folder: Path | str,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    weights: Weights = "auto",
) -> SegmentationNet:
    """The net of a folder, in eval().

    weights: "ema", "raw", or "auto" = the average where there is one (the authors' inference uses it)
    dtype:   float32 when None, however the weights are stored; on the CPU float32 weights stay memory-mapped
    ModelError for a folder, file or tensor that is missing or does not fit.
    """
    info = read_info(folder)
    path = _weights_file(Path(folder), weights)
    net = skeleton(info.config)
    fill(net, _read_tensors(path), str(path))
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
    _attempt(folder, lambda: folder.mkdir(parents=True, exist_ok=True))
    files = {name: _save_tensors(folder / name, tensors, dtype) for name, tensors in parts.items()}
    text = json.dumps(replace(info, files=files).to_dict(), indent=2, ensure_ascii=False) + "\n"
    if ema is None:
        (folder / EMA).unlink(missing_ok=True)
    _atomically(folder / MANIFEST, lambda part: part.write_text(text, encoding="utf-8"))


def digest_of(folder: Path | str, weights: Weights = "auto") -> str:
    """What the net's answers depend on, as one SHA-256: its shape, geometry, threshold and weights.

    From the hashes that `config.json` records; whether the files still have them is `verify`'s question.
    """
    info = read_info(folder)
    name = _weights_file(Path(folder), weights).name
    if name not in info.files:
        raise ModelError(f"{Path(folder) / MANIFEST}: no hash of {name}; save the net again")
    decides = [info.config.to_dict(), info.geometry, info.threshold, info.files[name]]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def verify(folder: Path | str) -> dict[str, str]:
    """The SHA-256 of each weight file, read anew. ModelError for one that is not what `config.json` says."""
    for name, expected in read_info(folder).files.items():
        path = Path(folder) / name
        if not path.is_file():
            raise ModelError(f"{path}: missing, though {MANIFEST} names it; restore the folder")
        found = _sha256(path)
        if found != expected:
            raise ModelError(f"{path}: its hash is {found[:12]}, expected {expected[:12]}; restore the file")
    return read_info(folder).files


def _weights_file(folder: Path, weights: Weights) -> Path:
    if weights not in ("ema", "raw", "auto"):
        raise ModelError(f"weights are ema, raw or auto, not {weights!r}")
    averaged = weights == "ema" or (weights == "auto" and (folder / EMA).is_file())
    path = folder / (EMA if averaged else RAW)
    if not path.is_file():
        raise ModelError(f"{path}: no such file; the folder is not whole")
    return path


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: truncated or not a safetensors file ({error}); copy it anew") from error
    return tensors


def _save_tensors(path: Path, tensors: Mapping[str, Tensor], dtype: torch.dtype | None) -> str:
    plain = {
        key: value.detach().to("cpu", dtype or value.dtype).contiguous() for key, value in tensors.items()
    }
    _atomically(path, lambda part: save_file(plain, part))
    return _sha256(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _atomically(path: Path, write: Callable[[Path], object]) -> None:
    part = path.with_name(f".ldznet-{secrets.token_hex(8)}.part")

    def whole() -> None:
        write(part)
        part.chmod(0o644)  # safetensors writes for the owner alone
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)

    try:
        _attempt(path, whole)
    finally:
        part.unlink(missing_ok=True)


def _attempt(path: Path, act: Callable[[], object]) -> None:
    try:
        act()
    except (OSError, SafetensorError) as error:
        # safetensors puts the operating system's number into its text instead of into an OSError.
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "os error 28" in str(error)
        if full:
            raise DiskFull(f"{path}: no space left to write to: free some, or name another folder") from error
        raise ModelError(f"{path}: cannot be written ({error}); name another folder") from error
