"""RGBNet, ZNet and LD-ZNet: one U-Net, three ways to feed it, and a head that brings masks to the image's size."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from ldznet_cli.errors import ModelError
from ldznet_cli.nets.config import LATENT_FACTOR, NetConfig
from ldznet_cli.nets.unet import Features, UNet
from ldznet_cli.tensors import Latent, Logits, Pixels

NORM_GROUPS = 4


class Head(nn.Sequential):
    """From the latent's resolution to the image's: conv 3x3, then three times {SiLU, 2x2 transposed conv of
    stride 2, SiLU, conv 3x3}; before it a SiLU. (B, width, h, w) → logits (B, 1, 8h, 8w).

    At the paper's width of 1 it has 55 parameters (parity fact 7). Wider, ours: the U-Net's last convolution gives
    `width` channels, and only the head's last one brings them down to 1.
    """

    def __init__(self, width: int) -> None:
        layers: list[nn.Module] = [nn.Conv2d(width, width, 3, padding=1)]
        for last in (False, False, True):
            layers += [nn.SiLU(), nn.ConvTranspose2d(width, width, 2, stride=2)]
            layers += [nn.SiLU(), nn.Conv2d(width, 1 if last else width, 3, padding=1)]
        super().__init__(*layers)

    def forward(self, coarse: Tensor) -> Tensor:
        """The coarse map as the U-Net's last convolution leaves it."""
        if coarse.shape[1] > 1:  # few channels on large maps: a CPU is faster with channels last
            coarse = coarse.contiguous(memory_format=torch.channels_last)
        x = nn.functional.silu(coarse)
        for layer in self:
            x = layer(x)
        return x


class Stem(nn.Sequential):
    """What RGBNet learns in place of the frozen first stage: (B, 3, 8h, 8w) → (B, 4, h, w).

    Three stages of {conv 3x3 of stride 2, conv 3x3}, each convolution followed by a GroupNorm of 4 groups and a
    SiLU; then a conv 3x3 to the latent's 4 channels. The paper says only that there are learnable convolutions and
    that they cost time; a plain strided stem with normalisation (as in Xiao et al. 2021, "Early convolutions help
    transformers see better") is a choice of ours.
    """

    def __init__(self, widths: tuple[int, ...], channels: int) -> None:
        layers: list[nn.Module] = []
        before = 3
        for width in widths:
            for inputs, stride in ((before, 2), (width, 1)):
                layers += [nn.Conv2d(inputs, width, 3, stride=stride, padding=1)]
                layers += [nn.GroupNorm(NORM_GROUPS, width), nn.SiLU()]
            before = width
        super().__init__(*layers, nn.Conv2d(before, channels, 3, padding=1))


class SegmentationNet(UNet, ABC):
    """A net that turns an image (as z or as pixels) and a text into mask logits: `net(z_or_image, text, features)`.

    Its keys are diffusers' for the U-Net, and `final.*` for the head. `config` says what it is.
    """

    def __init__(self, config: NetConfig) -> None:
        super().__init__(config)
        self.final = Head(config.head_width)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.conv_in.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """What the parameters are held in."""
        return self.conv_in.weight.dtype

    @abstractmethod
    def forward(self, z_or_image: Tensor, text: Tensor, features: Features | None = None) -> Logits:
        """Logits (B, 1, H, W) for a batch of B images and B texts. ModelError for inputs that do not fit."""

    def logits(self, z: Latent, text: Tensor, features: Features) -> Logits:
        """U-Net, SiLU, head."""
        width = self.config.unet.cross_attention_dim
        if text.shape[0] != z.shape[0] or text.shape[2] != width:
            raise ModelError(
                f"the net expects text of shape ({z.shape[0]}, L, {width}), found {tuple(text.shape)}: "
                "is this the LDM that the net was trained with?"
            )
        logits: Tensor = self.final(self.coarse(z, text, features))
        return logits

    def extra_repr(self) -> str:
        unet = self.config.unet
        return (
            f"{self.config.kind}: U-Net of {len(unet.block_out_channels)} levels {unet.block_out_channels}, "
            f"text {unet.cross_attention_dim} wide, head {self.config.head_width} wide, "
            f"{sum(parameter.numel() for parameter in self.parameters()):,} parameters"
        )


class ZNet(SegmentationNet):
    """The paper's ZNet: the LDM's own U-Net on the clean latent z, at timestep 0. Ignores `features`."""

    def forward(self, z_or_image: Latent, text: Tensor, features: Features | None = None) -> Logits:  # noqa: ARG002
        """z (B, 4, h, w) and text (B, L, D) → logits (B, 1, 8h, 8w)."""
        return self.logits(z_or_image, text, {})


class LDZNet(SegmentationNet):
    """The paper's LD-ZNet: ZNet that also looks at the LDM's features of some blocks (`config.blocks`)."""

    def forward(self, z_or_image: Latent, text: Tensor, features: Features | None = None) -> Logits:
        """z (B, 4, h, w), text (B, L, D), features {index: (B, C, h', w')} → logits (B, 1, 8h, 8w)."""
        return self.logits(z_or_image, text, features or {})

    def extra_repr(self) -> str:
        """ZNet's line, and what comes from the LDM."""
        return f"{super().extra_repr()}, LDM blocks {self.config.blocks} by {self.config.fusion}"


class RGBNet(SegmentationNet):
    """The paper's baseline: ZNet's network behind a learned stem, in place of the LDM's first stage."""

    def __init__(self, config: NetConfig) -> None:
        super().__init__(config)
        self.stem = Stem(config.stem, config.unet.in_channels)

    def forward(self, z_or_image: Pixels, text: Tensor, features: Features | None = None) -> Logits:  # noqa: ARG002
        """Image (B, 3, H, W) in [-1, 1], H and W multiples of 8, and text (B, L, D) → logits (B, 1, H, W)."""
        if any(side % LATENT_FACTOR for side in z_or_image.shape[2:]):
            raise ModelError(
                f"an image of {tuple(z_or_image.shape[2:])} pixels: sides must be multiples of 8"
            )
        return self.logits(self.stem(z_or_image), text, {})


CLASSES: dict[str, type[SegmentationNet]] = {"rgbnet": RGBNet, "znet": ZNet, "ldznet": LDZNet}


def skeleton(config: NetConfig) -> SegmentationNet:
    """The net on the meta device: shapes and names, no memory. To be filled by weights or by `initialise`."""
    with torch.device("meta"):
        return CLASSES[config.kind](config)
