"""What a segmentation net is made of, as frozen dataclasses: the U-Net's shape and what is added to it.

The U-Net is described in diffusers' words (`UNet2DConditionModel`), because its weights come from there. Blocks,
that is spatial transformers, are numbered in order down, middle, up, from 0: Stable Diffusion has 16.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar

from ldznet_cli.errors import ModelError

Kind = Literal["rgbnet", "znet", "ldznet"]
Fusion = Literal["cross-attention", "concat"]
Positions = Literal["count", "grid", "none"]

KINDS: tuple[Kind, ...] = ("rgbnet", "znet", "ldznet")
FUSIONS: tuple[Fusion, ...] = ("cross-attention", "concat")
POSITIONS: tuple[Positions, ...] = ("count", "grid", "none")
LATENT_FACTOR = 8
"""Pixels to one position of the latent, along each side."""


@dataclass(frozen=True)
class UNetConfig:
    """The shape of a Stable-Diffusion-like U-Net of any number of levels, finest level first.

    `down_attention` and `up_attention` say which levels have spatial transformers on the way down and on the way
    up (both finest first); the middle block always has one. `attention_heads` are heads, whatever diffusers calls
    them (its `attention_head_dim` holds their number).
    """

    block_out_channels: tuple[int, ...]
    down_attention: tuple[bool, ...]
    up_attention: tuple[bool, ...]
    layers_per_block: tuple[int, ...]
    transformer_layers: tuple[int, ...]
    attention_heads: tuple[int, ...]
    cross_attention_dim: int
    in_channels: int = 4
    use_linear_projection: bool = False
    norm_num_groups: int = 32
    norm_eps: float = 1e-5
    flip_sin_to_cos: bool = True
    freq_shift: int = 0

    def __post_init__(self) -> None:
        levels = len(self.block_out_channels)
        if levels < 2:
            raise ModelError(f"a U-Net needs two levels or more; block_out_channels has {levels}")
        for name in (
            "down_attention",
            "up_attention",
            "layers_per_block",
            "transformer_layers",
            "attention_heads",
        ):
            if len(getattr(self, name)) != levels:
                raise ModelError(
                    f"U-Net configuration: {name} has {len(getattr(self, name))} entries, expected {levels}"
                )
        for width, heads in zip(self.block_out_channels, self.attention_heads, strict=True):
            _check_divides("attention heads", heads, width)
            _check_divides("normalisation groups", self.norm_num_groups, width)

    @property
    def levels(self) -> int:
        """How many resolutions there are; level 0 is the latent's own."""
        return len(self.block_out_channels)

    @property
    def time_embed_dim(self) -> int:
        """Width of the timestep embedding: four times the first level's, as in every Stable Diffusion."""
        return 4 * self.block_out_channels[0]


@dataclass(frozen=True)
class NetConfig:
    """One segmentation net: which of the three, on which U-Net, with which LDM blocks, and how they come in.

    blocks:      indices of the LDM's blocks that are injected (LD-ZNet only; the paper's are 5..9)
    fusion:      "cross-attention" (the paper's) or "concat" (its ablation, table 4); LD-ZNet only
    head_width:  channels between the U-Net's last convolution and the last one of the head; 1 in the paper
    pool_latent: side of the square latent that the attention pools' positional embeddings are learned for
    positions:   when those embeddings are resized: "count" = when the number of tokens differs, as the authors do
                 (parity fact 5); "grid" = whenever the grid differs, which also gets 8x18 against 12x12 right;
                 "none" = no embedding at all (an ablation)
    stem:        widths of RGBNet's three strided stages; empty for the others
    """

    kind: Kind
    unet: UNetConfig
    fusion: Fusion | None = None
    blocks: tuple[int, ...] = ()
    head_width: int = 1
    pool_latent: int = 48
    positions: Positions = "count"
    stem: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _check_choice("kind", self.kind, KINDS)
        _check_choice("positions", self.positions, POSITIONS)
        if min((self.head_width, self.pool_latent, *self.stem)) < 1:
            raise ModelError("net configuration: head_width, pool_latent and stem are positive numbers")
        if self.kind == "ldznet":
            _check_choice("fusion", self.fusion, FUSIONS)
        elif self.fusion is not None or self.blocks:
            raise ModelError(
                f"net configuration: a {self.kind} takes no LDM features, so no fusion and no blocks"
            )
        if (len(self.stem) != 3) == (self.kind == "rgbnet"):
            raise ModelError(
                "net configuration: an rgbnet has a stem of three widths, the other nets have none"
            )
        if self.kind == "ldznet" and not self.blocks:
            raise ModelError("net configuration: an ldznet needs at least one block of the LDM")
        if list(self.blocks) != sorted(set(self.blocks)):
            raise ModelError(f"net configuration: blocks {list(self.blocks)} are not in rising order")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, the inverse of `from_dict`."""
        return {**_plain(self), "unet": _plain(self.unet)}

    @classmethod
    def from_dict(cls, data: Any, where: str = "net configuration") -> NetConfig:
        """Read what `to_dict` wrote. ModelError for a field that is missing, unknown or of another type."""
        if not isinstance(data, Mapping) or not isinstance(data.get("unet"), Mapping):
            raise ModelError(f"{where}: expected an object with a `unet` object inside")
        unet = _read(UNetConfig, data["unet"], f"{where}, unet")
        return _read(cls, {**data, "unet": unet}, where)


ConfigT = TypeVar("ConfigT", UNetConfig, NetConfig)


def _plain(config: UNetConfig | NetConfig) -> dict[str, Any]:
    values = {f.name: getattr(config, f.name) for f in fields(config)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _read(cls: type[ConfigT], data: Mapping[str, Any], where: str) -> ConfigT:
    known = {f.name: str(f.type) for f in fields(cls)}
    unknown, missing = sorted(set(data) - set(known)), sorted(set(known) - set(data))
    if unknown:
        raise ModelError(f"{where}: unknown fields {', '.join(unknown)}; was it written by a newer ldznet?")
    if missing:
        raise ModelError(f"{where}: missing fields {', '.join(missing)}")
    values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in data.items()}
    for name, value in values.items():
        if known[name] in _CHOICES:
            _check_choice(name, value, _CHOICES[known[name]])
        if not _fits(value, known[name]):
            raise ModelError(f"{where}: {name} should be {known[name]}, found {value!r}")
    return cls(**values)


_CHOICES: dict[str, tuple[str | None, ...]] = {
    "Kind": KINDS,
    "Fusion | None": (*FUSIONS, None),
    "Positions": POSITIONS,
}
_TYPES: dict[str, type] = {"int": int, "bool": bool, "float": float, "str": str, "UNetConfig": UNetConfig}


def _fits(value: object, annotation: str) -> bool:
    if annotation.startswith("tuple["):
        entry = _TYPES[annotation.removeprefix("tuple[").split(",")[0]]
        return isinstance(value, tuple) and all(type(v) is entry for v in value)
    return annotation in _CHOICES or type(value) is _TYPES[annotation]


def _check_choice(name: str, value: object, choices: tuple[str | None, ...]) -> None:
    if value not in choices:
        raise ModelError(f"net configuration: {name} {value!r} is not one of {', '.join(map(str, choices))}")


def _check_divides(what: str, number: int, width: int) -> None:
    if number < 1 or width < 1 or width % number:
        raise ModelError(f"U-Net configuration: {number} {what} do not divide a width of {width}")
