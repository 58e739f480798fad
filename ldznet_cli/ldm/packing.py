"""Weights in the layout of the processor's kernels, brought there once: oneDNN would do it again at every call.

On x86 processors, in float32 and bfloat16, for networks that are only run, never trained. At the deep levels of a
Stable Diffusion UNet, where few positions meet large weights, the bringing takes longer than the multiplication.
"""

from __future__ import annotations

import platform

import torch
from torch import Tensor, nn

from ldznet_cli.ldm.memory import give_back_free_memory

LARGE = 30_000_000
"""Parameters from which on a network is packed: Stable Diffusion's encoder has 34 M. The miniature's UNet, on maps of
16x16 and 8x8, runs six times slower packed: its small products cost less than what a packed one begins with."""


class PackedConv2d(nn.Module):
    """A convolution of float32 or bfloat16 maps (B, C, h, w); what it gives is stored channels last."""

    def __init__(self, conv: nn.Conv2d, dtype: torch.dtype) -> None:
        super().__init__()
        self.shape = tuple(conv.weight.shape)
        self.geometry = (conv.padding, conv.stride, conv.dilation, conv.groups)
        # Of one size: without any oneDNN packs kernels of 1x1 so that they are packed anew at every call.
        self.weight: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
            conv.weight.detach().to(dtype), *self.geometry, (1, conv.in_channels, 48, 48)
        )
        self.bias = _frozen(conv.bias, dtype)

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

    def __init__(self, linear: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight: Tensor = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach().to(dtype))
        self.bias = _frozen(linear.bias, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """As `nn.Linear`."""
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], None)
        return y

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}"


class PackedPointwise(PackedLinear):
    """A convolution of width 1 along rows (B, C, n), as a linear layer."""

    def __init__(self, conv: nn.Conv1d, dtype: torch.dtype) -> None:
        linear = nn.Linear(conv.in_channels, conv.out_channels, device="meta")
        linear.weight = nn.Parameter(conv.weight[:, :, 0])
        linear.bias = conv.bias  # type: ignore[assignment]  # None where the convolution has none
        super().__init__(linear, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """As `nn.Conv1d`."""
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


def place(module: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Brings a frozen network, in place, to where and in what it is to compute; a LARGE one on an x86 processor packed.

    Each weight's old copy is let go before the next one is made. Values agree with the unpacked network's to rounding.
    What is packed can't be trained, moved or saved any more.
    """
    large = sum(parameter.numel() for parameter in module.parameters()) >= LARGE
    if large and device.type == "cpu" and can_pack(dtype):
        _pack(module, dtype)
    nn.Module.to(module, device=device, dtype=dtype)  # diffusers' own would warn of its trainers' habits
    if large:
        give_back_free_memory()


def can_pack(dtype: torch.dtype) -> bool:
    """Whether this build of PyTorch packs weights of this type on this processor."""
    if not torch.backends.mkldnn.is_available() or platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32


def _pack(module: nn.Module, dtype: torch.dtype) -> None:
    for name in [
        name for name, _ in module.named_children()
    ]:  # which itself holds the children until its end
        child = getattr(module, name)
        if type(child) is nn.Conv2d:
            setattr(module, name, PackedConv2d(child, dtype))
        elif type(child) is nn.Linear:
            setattr(module, name, PackedLinear(child, dtype))
        elif type(child) is nn.Conv1d and child.kernel_size == (1,):
            setattr(module, name, PackedPointwise(child, dtype))
        else:
            _pack(child, dtype)


def _frozen(bias: Tensor | None, dtype: torch.dtype) -> nn.Parameter | None:
    """A parameter, so that the module's device and dtype can still be asked for."""
    return None if bias is None else nn.Parameter(bias.detach().to(dtype), requires_grad=False)
