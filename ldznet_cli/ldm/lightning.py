"""Checkpoint files of a training run, read without running any of what they hold.

A Lightning checkpoint is a pickle that names classes. torch's restricted unpickler reads it; the names that such a
file harmlessly has are given a stand-in that ignores whatever it is handed; any other name is refused.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch
from torch import Tensor

from ldznet_cli.errors import ModelError
from ldznet_cli.ldm.tensor_file import read_tensors

HARMLESS = (
    "argparse", "collections", "lightning", "lightning_fabric", "numpy", "omegaconf", "pathlib", "pytorch_lightning",
    "typing",
)  # fmt: skip
"""Packages whose names a training run leaves in its checkpoints. None of them is imported for it."""


_PLAIN = frozenset(
    f"builtins.{name}" for name in ("bool", "dict", "float", "int", "list", "object", "str", "tuple")
)
# Types that an OmegaConf object names as the types of its fields.


class StandIn:
    """Takes the place of an object that is of no interest: takes anything, keeps nothing, does nothing."""

    def __new__(cls, *_: object, **__: object) -> StandIn:
        """Whatever the arguments."""
        return object.__new__(cls)

    def __init__(self, *_: object, **__: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


class NoItems(StandIn):
    """For a kind of dict: torch's unpickler puts items into plain dicts alone."""

    def __new__(cls, *_: object, **__: object) -> Any:
        """A plain dict, to be thrown away."""
        return {}


class NoEntries(StandIn):
    """For a kind of list, likewise."""

    def __new__(cls, *_: object, **__: object) -> Any:
        """A plain list, to be thrown away."""
        return []


_CONTAINERS = {"AttributeDict": NoItems, "defaultdict": NoItems, "deque": NoEntries}
# By the last part of the name: Lightning has moved its AttributeDict about.


def read_state_dict(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` file, or of a `.ckpt` (a bare state dict or under "state_dict").

    ModelError for a file that is missing, truncated, of another kind, or that names what is not harmless.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"{path}: there is no such file")
    if path.suffix == ".safetensors":
        return read_tensors(path)
    loaded = _restricted(path)
    inner = loaded.get("state_dict", loaded) if isinstance(loaded, Mapping) else None
    if not isinstance(inner, Mapping):
        raise ModelError(f"{path}: no state dict in it; expected a checkpoint of a training run")
    tensors = {
        key: value for key, value in inner.items() if isinstance(key, str) and isinstance(value, Tensor)
    }
    if not tensors:
        raise ModelError(f"{path}: no tensors in it; expected a checkpoint of a training run")
    return tensors


def _restricted(path: Path) -> Any:
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        refused = sorted(name for name in names if not _harmless(name))
        if refused:
            raise ModelError(
                f"{path}: names {', '.join(refused)}, which no weights need; refused, nothing was run"
            )
        with torch.serialization.safe_globals([(_stand_in(name), name) for name in names]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, BadZipFile, OSError) as error:
        raise ModelError(
            f"{path}: truncated, or not a checkpoint that can be read safely ({_reason(error)})"
        ) from error


def _reason(error: Exception) -> str:
    """One line, without torch's advice to read the file unsafely."""
    lines = str(error).partition("WeightsUnpickler error: ")[2] or str(error)
    return lines.strip().partition("\n")[0] or type(error).__name__


def _stand_in(name: str) -> type[StandIn]:
    return _CONTAINERS.get(name.rpartition(".")[2], StandIn)


def _harmless(name: str) -> bool:
    return name in _PLAIN or name.partition(".")[0] in HARMLESS
