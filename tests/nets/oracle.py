"""The authors' recorded numbers (`../shared/parity`): weights by recipe, inputs by name, answers from the files."""

from __future__ import annotations

import csv
import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import torch
from safetensors.torch import load_file
from torch import Tensor

from ldznet_cli.nets.builders import STABLE_DIFFUSION_1, fitted
from ldznet_cli.nets.checkpoint import fill
from ldznet_cli.nets.config import Kind
from ldznet_cli.nets.segmenters import SegmentationNet, skeleton

SMALL = replace(STABLE_DIFFUSION_1, block_out_channels=(32, 64, 128, 128), cross_attention_dim=64)
"""The oracle's configuration: Stable Diffusion's with a tenth of the width."""
BLOCKS = (5, 6, 7, 8, 9)


@dataclass(frozen=True)
class Key:
    """One row of keymap.csv."""

    official: str
    ema: str
    full: tuple[int, ...]
    small: tuple[int, ...]
    ours: str


class Oracle:
    """The folder `parity`, read once."""

    def __init__(self, folder: Path) -> None:
        self.recipe = _load_recipe(folder / "recipe.py")
        with (folder / "keymap.csv").open(encoding="utf-8") as file:
            rows = list(csv.reader(file))[1:]
        self.keys = [Key(a, b, _shape(c), _shape(d), e) for a, b, c, d, e, _ in rows]
        self.at_48 = load_file(folder / "oracle_48x48.safetensors")
        self.pipeline = load_file(folder / "oracle_pipeline.safetensors")

    def net(self, kind: Kind, namespace: str) -> SegmentationNet:
        """A net of the oracle's size with the weights of one namespace."""
        net = skeleton(fitted(SMALL, kind, positions="count"))
        wanted = net.state_dict()
        tensors = {
            k.ours: self.recipe.param(namespace, k.official, k.small) for k in self.keys if k.ours in wanted
        }
        fill(net, tensors, namespace)
        return net.eval()

    def inp(self, key: str, *shape: int) -> Tensor:
        """One recorded input."""
        made: Tensor = self.recipe.inp(key, shape)
        return made

    def features(self, prefix: str) -> dict[int, Tensor]:
        """The five features recorded under `prefix`, from whichever file has them."""
        recorded = self.at_48 if prefix.startswith("48x48") else self.pipeline
        return {i: recorded[f"{prefix}/feat.{i}"] for i in BLOCKS}


def _load_recipe(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("parity_recipe", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _shape(text: str) -> tuple[int, ...]:
    return tuple(int(side) for side in text.split("x"))


def distance(a: Tensor, b: Tensor) -> float:
    """The largest difference."""
    assert a.shape == b.shape
    return float(torch.max(torch.abs(a - b)))
