"""The spatial transformer: self-attention, text, and (at the injected blocks) the LDM's feature.

Plain blocks are Stable Diffusion's; `norm_sd`, `attn3`, `attentionpool2D` and `fuse` are what the paper adds.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers.models.attention import FeedForward
from diffusers.models.attention_processor import Attention, AttnProcessor
from torch import Tensor, nn

from ldznet_cli.errors import ModelError
from ldznet_cli.nets.config import Fusion, Positions
from ldznet_cli.nets.numbering import AttentionBlock
from ldznet_cli.nets.pool import AttentionPool
from ldznet_cli.tensors import FeatureMap, Text


@dataclass(frozen=True)
class Injection:
    """How the LDM's feature comes into a block. `grid`: its height and width on the latents of training."""

    fusion: Fusion
    grid: tuple[int, int]
    positions: Positions


@dataclass(frozen=True)
class TransformerShape:
    """What all spatial transformers of one U-Net have in common."""

    text_width: int
    groups: int
    linear_projection: bool


class TransformerBlock(nn.Module):
    """Residual self-attention, text cross-attention, cross-attention to the pooled LDM feature, feed-forward.

    The third is there with `looks_at_ldm` only; its queries are the net's tokens, its keys and values the pool's,
    all as wide as the block.
    """

    def __init__(self, width: int, heads: int, text_width: int, looks_at_ldm: bool) -> None:
        super().__init__()
        sizes = {"heads": heads, "dim_head": width // heads}
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = Attention(width, **sizes)
        self.norm2 = nn.LayerNorm(width)
        self.attn2 = Attention(width, cross_attention_dim=text_width, **sizes)
        if looks_at_ldm:
            self.norm_sd = nn.LayerNorm(width)
            self.attn3 = Attention(width, cross_attention_dim=width, **sizes)
        self.norm3 = nn.LayerNorm(width)
        self.ff = FeedForward(width, activation_fn="geglu")

    def forward(self, tokens: Tensor, text: Text, pooled: Tensor | None) -> Tensor:
        """(B, n, C) tokens, (B, L, D) text, (B, m, C) pooled feature → (B, n, C)."""
        tokens = self.attn1(self.norm1(tokens)) + tokens
        tokens = self.attn2(self.norm2(tokens), text) + tokens
        if pooled is not None:
            tokens = self.attn3(self.norm_sd(tokens), pooled) + tokens
        mixed: Tensor = self.ff(self.norm3(tokens)) + tokens
        return mixed


class SpatialTransformer(nn.Module):
    """A map as tokens through transformer blocks, residually; `block` is its place in the U-Net's numbering."""

    def __init__(
        self, block: AttentionBlock, layers: int, shape: TransformerShape, injection: Injection | None
    ) -> None:
        super().__init__()
        width, heads = block.width, block.heads
        self.block, self.shape, self.injection = block, shape, injection
        pools = injection is not None and injection.fusion == "cross-attention"
        if injection is not None and pools:
            self.attentionpool2D = AttentionPool(width, heads, injection.grid, injection.positions)
        elif injection is not None:
            self.fuse = nn.Conv2d(2 * width, width, 1)
        self.norm = nn.GroupNorm(shape.groups, width, eps=1e-6)
        self.proj_in: nn.Module = (
            nn.Linear(width, width) if shape.linear_projection else nn.Conv2d(width, width, 1)
        )
        blocks = [TransformerBlock(width, heads, shape.text_width, pools) for _ in range(layers)]
        self.transformer_blocks = nn.ModuleList(blocks)
        self.proj_out: nn.Module = (
            nn.Linear(width, width) if shape.linear_projection else nn.Conv2d(width, width, 1)
        )

    def forward(self, x: FeatureMap, text: Text, feature: Tensor | None) -> FeatureMap:
        """(B, C, h, w) and text, with the LDM's feature of this block where it is injected → (B, C, h, w)."""
        pooled: Tensor | None = None
        if self.injection is not None:
            feature = self._fitting(feature, x)
            if self.injection.fusion == "cross-attention":
                pooled = self.attentionpool2D(feature).transpose(1, 2)
            else:
                x = self.fuse(torch.cat([x, feature], dim=1))
        tokens = self._into_tokens(self.norm(x))
        for block in self.transformer_blocks:
            tokens = block(tokens, text, pooled)
        mixed: Tensor = self._into_map(tokens, x) + x
        return mixed

    def _into_tokens(self, x: Tensor) -> Tensor:
        if self.shape.linear_projection:
            tokens: Tensor = self.proj_in(x.flatten(2).transpose(1, 2))
            return tokens
        projected: Tensor = self.proj_in(x)
        return projected.flatten(2).transpose(1, 2).contiguous()

    def _into_map(self, tokens: Tensor, like: Tensor) -> Tensor:
        if self.shape.linear_projection:
            tokens = self.proj_out(tokens)
        x = tokens.transpose(1, 2).reshape(like.shape)
        mapped: Tensor = x if self.shape.linear_projection else self.proj_out(x)
        return mapped

    def _fitting(self, feature: Tensor | None, x: Tensor) -> Tensor:
        if feature is None:
            raise ModelError(f"the net needs the LDM's feature of block {self.block.index}; it was not given")
        if feature.shape[:2] != x.shape[:2]:
            expected, found = tuple(x.shape[:2]), tuple(feature.shape[:2])
            raise ModelError(
                f"the LDM's feature of block {self.block.index} has batch and width {found}, expected {expected}: "
                "is this the LDM that the net was trained with?"
            )
        if self.injection is not None and self.injection.fusion == "concat" and feature.shape != x.shape:
            raise ModelError(
                f"the LDM's feature of block {self.block.index} has {tuple(feature.shape[2:])} positions, expected "
                f"{tuple(x.shape[2:])}: z and features must be of one image size"
            )
        return feature.to(x.dtype)

    def extra_repr(self) -> str:
        name = f"block {self.block.index}: {self.block.width} wide, {self.block.heads} heads"
        if self.injection is None:
            return name
        return f"{name}, LDM feature by {self.injection.fusion}{self._positions()}"

    def _positions(self) -> str:
        injection = self.injection
        if injection is None or injection.fusion != "cross-attention":
            return ""
        if injection.positions == "none":
            return " (no positions)"
        height, width = injection.grid
        return f" (positions of {height}x{width} resized by {injection.positions})"


def use_plain_attention(net: nn.Module) -> None:
    """Attention as two products and a softmax, not PyTorch's fused kernel, whose backward pass is slower on a CPU."""
    for module in net.modules():
        if isinstance(module, Attention):
            module.set_processor(AttnProcessor())
