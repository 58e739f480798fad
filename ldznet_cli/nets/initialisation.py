"""A net's first values: from the LDM it belongs to, as the authors do, or at random.

Random values are PyTorch's default distributions, each tensor drawn from a generator of its own, seeded by SHA-256
of (seed, key): the same on every machine, and the same part starts alike in every net of the same seed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ldznet_cli.ldm.fitting import Shapes, check_fit, shapes_of
from ldznet_cli.nets.config import NetConfig
from ldznet_cli.nets.segmenters import SegmentationNet, skeleton

LDM_CHANNELS = 4
"""Output channels of the LDM's UNet."""
OUTPUT = ("conv_out.weight", "conv_out.bias")


@dataclass(frozen=True)
class InitReport:
    """Every key's fate: `taken` from the LDM, `new` in the net, `dropped` of the LDM's.

    Of the output convolution only some channels may be taken or dropped; it is then listed as `key[a:b]`.
    """

    taken: tuple[str, ...]
    new: tuple[str, ...]
    dropped: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{len(self.taken)} tensors taken from the LDM, {len(self.new)} new, {len(self.dropped)} dropped"
        )


def build_net(config: NetConfig, seed: int = 0) -> SegmentationNet:
    """The net of a configuration on the CPU in float32, with random first values."""
    net = skeleton(config).to_empty(device="cpu")
    initialise(net, None, seed)
    return net


def initialise(net: SegmentationNet, unet_state_dict: Mapping[str, Tensor] | None, seed: int) -> InitReport:
    """Overwrites all parameters: the U-Net's from the LDM's UNet (None: at random), the others at random.

    The net's output convolution takes the LDM's channels from 0 on, as many as there are on both sides: channel 0
    for the paper's one (parity fact 8). Attention pools, `attn3`, `norm_sd` and the head are PyTorch's defaults,
    the positional embedding randn / sqrt(C). ModelError when the LDM's UNet is not the one of the configuration.
    """
    shapes = shapes_of(net.state_dict())
    source = dict(unet_state_dict or {})
    if unet_state_dict is not None:
        check_fit(_ldm_shapes(shapes), shapes_of(source), "the LDM's UNet")
    with torch.no_grad():
        for key, value in net.state_dict().items():
            rows = min(len(value), LDM_CHANNELS) if key in OUTPUT else len(value)
            whole = key in source and rows == len(value)
            if not whole:
                value.copy_(fresh(key, shapes, seed))
            if key in source:
                value[:rows].copy_(source[key][:rows])
    return _report(shapes, source)


def fresh(key: str, shapes: Shapes, seed: int) -> Tensor:
    """The random first value of one parameter, float32."""
    shape = shapes[key]
    generator = _generator(key, seed)
    if key.endswith("positional_embedding"):
        return torch.from_numpy(generator.standard_normal(shape, np.float32)) / math.sqrt(shape[0])
    weight = shapes[key.removesuffix("bias") + "weight"] if key.endswith(".bias") else shape
    if ".fuse." in key:
        return _identity_on_first_half(shape)
    if len(weight) == 1:  # a norm
        return torch.zeros(shape) if key.endswith(".bias") else torch.ones(shape)
    # Linear, convolution and transposed convolution alike: uniform within 1 / sqrt(fan in), their biases too.
    bound = 1 / math.sqrt(math.prod(weight[1:]))
    return torch.from_numpy(generator.random(shape, np.float32) * 2 - 1) * bound


def _identity_on_first_half(shape: tuple[int, ...]) -> Tensor:
    """The concat variant starts as plain ZNet: ZNet's half passes through, the LDM's half counts for nothing."""
    value = torch.zeros(shape)
    if len(shape) > 1:
        value[:, : shape[0], 0, 0] = torch.eye(shape[0])
    return value


def _generator(key: str, seed: int) -> np.random.Generator:
    digest = hashlib.sha256(f"ldznet.init/1|{seed}|{key}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "big")))


def is_added(key: str) -> bool:
    """Whether a parameter is one that an LDM's UNet does not have."""
    added = ("attentionpool2D.", "attn3.", "norm_sd.", "fuse.")
    return key.startswith(("final.", "stem.")) or any(f".{part}" in key for part in added)


def _ldm_shapes(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    unet = {key: shape for key, shape in shapes.items() if not is_added(key)}
    return unet | {key: (LDM_CHANNELS, *unet[key][1:]) for key in OUTPUT}


def _report(shapes: Shapes, source: Mapping[str, Tensor]) -> InitReport:
    taken, new, dropped = [], [], []
    for key, shape in shapes.items():
        if key not in source:
            new.append(key)
        elif key not in OUTPUT or shape[0] == LDM_CHANNELS:
            taken.append(key)
        else:
            rows = min(shape[0], LDM_CHANNELS)
            taken.append(f"{key}[0:{rows}]")
            new += [f"{key}[{rows}:{shape[0]}]"] if shape[0] > rows else []
            dropped += [f"{key}[{rows}:{LDM_CHANNELS}]"] if rows < LDM_CHANNELS else []
    return InitReport(tuple(taken), tuple(new), tuple(dropped))
