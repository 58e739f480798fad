"""The attention pool: what stands between a block of the LDM and the net that looks at it.

As in CLIP's ResNet (Radford et al. 2021), but all tokens are kept: the map's positions and, in front, their mean.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ldznet_cli.nets.config import Positions
from ldznet_cli.tensors import FeatureMap


class AttentionPool(nn.Module):
    """One multi-head self-attention over the mean token and the n = h*w positions of a feature map.

    (B, C, h, w) → (B, C, n + 1), the mean token in column 0. `grid` is the height and width that the positional
    embedding is learned for; `positions` says when it is resized for another (`NetConfig.positions`).
    Parity facts 4, 5 and 8.
    """

    def __init__(self, width: int, heads: int, grid: tuple[int, int], positions: Positions) -> None:
        super().__init__()
        self.heads, self.grid, self.positions = heads, grid, positions
        tokens = grid[0] * grid[1] + 1
        if positions != "none":
            self.positional_embedding = nn.Parameter(torch.randn(width, tokens) / math.sqrt(width))
        self.qkv_proj = nn.Conv1d(width, 3 * width, 1)
        self.c_proj = nn.Conv1d(width, width, 1)

    def forward(self, feature: FeatureMap) -> Float[Tensor, "B C n_plus_1"]:
        """Pool one feature map of any height and width."""
        batch, width, *grid = feature.shape
        x = feature.flatten(2)
        x = torch.cat([x.mean(dim=2, keepdim=True), x], dim=2)
        if self.positions != "none":
            x = x + self._positions_for((grid[0], grid[1]))
        # Rows of the projection are q, k, v, each head-major, so that one view separates them.
        q, k, v = (
            self.qkv_proj(x).view(batch, 3, self.heads, width // self.heads, -1).transpose(3, 4).unbind(1)
        )
        x = F.scaled_dot_product_attention(q, k, v)
        pooled: Tensor = self.c_proj(x.transpose(2, 3).reshape(batch, width, -1))
        return pooled

    def _positions_for(self, grid: tuple[int, int]) -> Tensor:
        same_count = grid[0] * grid[1] == self.grid[0] * self.grid[1]
        if same_count if self.positions == "count" else grid == self.grid:
            return self.positional_embedding
        mean, learned = self.positional_embedding[:, :1], self.positional_embedding[:, 1:]
        learned = learned.reshape(1, -1, *self.grid)
        resized = F.interpolate(learned, size=grid, mode="bicubic", align_corners=False)
        return torch.cat([mean, resized.flatten(2)[0]], dim=1)

    def extra_repr(self) -> str:
        height, width = self.grid
        about = f"{self.c_proj.out_channels} wide, {self.heads} heads"
        if self.positions == "none":
            return f"{about}, no positions"
        return f"{about}, positions of {height}x{width} resized by {self.positions}"
