"""Safetensors → modules: only the tensors a module wants, memory-mapped where they need no conversion."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ldznet_cli.errors import ModelError, WeightsUnavailable
from ldznet_cli.ldm.packing import place
from ldznet_cli.ldm.quiet import quiet_libraries
from ldznet_cli.ldm.tensor_file import map_tensors


@dataclass(frozen=True)
class Weights:
    """The tensors of one part of a model; `rename` gives a tensor's key in the module from that in the file."""

    files: tuple[Path, ...]
    rename: Callable[[str], str] = str

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Key in the module → shape, read from the files' headers alone."""
        return {key: shape for path in self.files for key, shape in self._shapes_in(path).items()}

    def read(self, keys: Iterable[str]) -> dict[str, Tensor]:
        """The tensors as they are stored, on the CPU. Memory-mapped: pages are read when they are touched."""
        wanted = set(keys)
        tensors: dict[str, Tensor] = {}
        for path in self.files:
            with _reading(path):
                tensors |= {
                    key: value for name, value in map_tensors(path) if (key := self.rename(name)) in wanted
                }
        return tensors

    def _shapes_in(self, path: Path) -> dict[str, tuple[int, ...]]:
        from safetensors import safe_open

        with _reading(path), safe_open(path, framework="pt", device="cpu") as file:
            return {self.rename(key): tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except (SafetensorError, OSError) as error:
        raise WeightsUnavailable(
            f"{path} is truncated or no safetensors file ({error}): fetch it again"
        ) from error


@contextmanager
def on_meta(where: Path) -> Iterator[None]:
    """What is built in the block, of what `where` (a file) says, has shapes, but neither values nor memory yet.

    Raises ModelError for a configuration that the library makes nothing of.
    """
    from huggingface_hub.errors import StrictDataclassError

    with quiet_libraries(), torch.device("meta"):
        try:
            yield
        except (StrictDataclassError, ValueError, TypeError, KeyError, AttributeError) as error:
            reason = " ".join(str(error).split())
            raise ModelError(f"{where} describes no model that can be built: {reason}") from error


def fill(
    module: nn.Module,
    weights: Weights,
    known: Iterable[str],
    *,
    device: torch.device,
    dtype: torch.dtype,
) -> None:
    """Gives `module` (built on the meta device, perhaps cut) its weights; frozen, in eval mode, packed, one copy.

    `known` are the keys of the whole module: what the files hold beyond `module`'s keys must be among them. Each
    key is accounted for: raises ModelError naming a missing, a misshapen or an unknown one.
    """
    found, wanted = weights.shapes(), module.state_dict()
    where = weights.files[0].parent
    for key, value in wanted.items():
        if key not in found:
            raise ModelError(
                f"{where}: by config.json there is {key} {tuple(value.shape)}, the weights lack it"
            )
        if found[key] != (shape := tuple(value.shape)):
            raise ModelError(f"{where}: by config.json {key} is {shape}, the weights have {found[key]}")
    if unknown := sorted(found.keys() - set(known)):
        raise ModelError(
            f"{where}: {len(unknown)} tensors are not in config.json's model, such as {unknown[0]}"
        )
    module.load_state_dict(weights.read(wanted), strict=True, assign=True)
    module.requires_grad_(False).eval()
    place(module, device, dtype)
