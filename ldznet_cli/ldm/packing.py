"""Weights in the layout of the processor's kernels, brought there once: oneDNN would do it again at every call.

On x86 processors, in float32 and bfloat16, for networks that are only run, never trained. At the deep levels of a
Stable Diffusion UNet, where few positions meet large weights, the bringing takes longer than the multiplication.
"""

from __future__ import annotations

import platform

import torch
from torch import Tensor, nn


class PackedConv2d(nn.Module):
    """A convolution of float32 or bfloat16 maps (B, C, h, w); what it gives is stored channels last."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.shape = tuple(conv.weight.shape)
        self.geometry = (conv.padding, conv.stride, conv.dilation, conv.groups)
        # Of one size: without any oneDNN packs kernels of 1x1 so that they are packed anew at every call.
        self.weight: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
            conv.weight.detach(), *self.geometry, (1, conv.in_channels, 48, 48)
        )
        self.bias = _frozen(conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        """As `nn.Conv2d`."""
        y: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, *self.geometry, "none", [], None
        )
        return y

    def extra_repr(self) -> str:
        return f"{self.shape[1]}, {self.shape[0]}, kernel_size={self.shape[2:]}"


class PackedLinear(nn.Module):
    """A linear layer on float32 or bfloat16 rows (…, C)."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight: Tensor = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())
        self.bias = _frozen(linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """As `nn.Linear`."""
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], None)
        return y

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}"


class PackedPointwise(PackedLinear):
    """A convolution of width 1 along rows (B, C, n), as a linear layer."""

    def __init__(self, conv: nn.Conv1d) -> None:
        linear = nn.Linear(conv.in_channels, conv.out_channels, device="meta")
        linear.weight = nn.Parameter(conv.weight[:, :, 0])
        linear.bias = conv.bias
        super().__init__(linear)

    def forward(self, x: Tensor) -> Tensor:
        """As `nn.Conv1d`."""
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


def pack(module: nn.Module) -> None:
    """Replaces, in place, the convolutions and linear layers in `module`, each weight's old copy let go at once.

    Values agree with the unpacked ones to rounding. A module that could not be packed, here or on its device or in its
    dtype, is left as it is. Packed modules can't be trained, moved or saved.
    """
    if can_pack():
        _pack(module)


def can_pack() -> bool:
    """Whether this build of PyTorch packs on this processor."""
    return torch.backends.mkldnn.is_available() and platform.machine().lower() in ("x86_64", "amd64")


def _pack(module: nn.Module) -> None:
    for name, child in module.named_children():
        if type(child) is nn.Conv2d and _fits(child.weight):
            setattr(module, name, PackedConv2d(child))
        elif type(child) is nn.Linear and _fits(child.weight):
            setattr(module, name, PackedLinear(child))
        elif type(child) is nn.Conv1d and child.kernel_size == (1,) and _fits(child.weight):
            setattr(module, name, PackedPointwise(child))
        else:
            _pack(child)


def _fits(weight: Tensor) -> bool:
    if weight.dtype == torch.bfloat16:
        return weight.device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return weight.device.type == "cpu" and weight.dtype == torch.float32


def _frozen(bias: Tensor | None) -> nn.Parameter | None:
    """A parameter, so that the module's device and dtype can still be asked for."""
    return None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
