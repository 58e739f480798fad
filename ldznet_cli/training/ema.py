"""The exponential moving average of the weights that inference uses."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class Ema:
    """A second copy of a net whose weights trail the trained ones.

    The decay of update n (counted from 1) is min(decay, (1 + n) / (10 + n)), as in the authors' LitEma;
    the average starts as a copy of the net.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.net = copy.deepcopy(net).eval().requires_grad_(False)
        self.decay, self.updates = decay, 0

    def update(self, net: nn.Module) -> None:
        """Moves the average towards the weights of `net`."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        with torch.no_grad():
            trailing: list[Tensor] = list(self.net.parameters())
            current: list[Tensor] = list(net.parameters())
            torch._foreach_lerp_(trailing, current, 1 - decay)
            for mine, theirs in zip(self.net.buffers(), net.buffers(), strict=True):
                mine.copy_(theirs)
