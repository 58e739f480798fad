"""Shapes as types: the tensors that cross from room to room (checked with beartype under pytest only)."""

from jaxtyping import Float
from torch import Tensor

Pixels = Float[Tensor, "B 3 H W"]
"""An image batch in [-1, 1]."""

Latent = Float[Tensor, "B 4 h w"]
"""The scaled latent z of the first stage: h = H / 8, w = W / 8."""

Text = Float[Tensor, "B L D"]
"""The text encoder's last hidden states: L tokens of width D."""

FeatureMap = Float[Tensor, "B _C _h _w"]
"""What one attention block of the LDM's UNet gives: each block has a width and a resolution of its own."""

Logits = Float[Tensor, "B 1 H W"]
"""Mask logits: the sigmoid gives the probability of the phrase at each pixel of the network's grid."""
