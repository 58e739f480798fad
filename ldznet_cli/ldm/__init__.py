"""The frozen latent diffusion model: its parts, its attention blocks' features, its noise, its identity."""

from ldznet_cli.ldm.blocks import PAPER_BLOCKS
from ldznet_cli.ldm.digests import digests_of
from ldznet_cli.ldm.folder import resolve
from ldznet_cli.ldm.frozen import FrozenLDM
from ldznet_cli.ldm.noise import DrawPolicy

__all__ = [
    "PAPER_BLOCKS",
    "DrawPolicy",
    "FrozenLDM",
    "digests_of",
    "resolve",
]
