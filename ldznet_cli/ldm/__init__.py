"""The frozen latent diffusion model: its parts, its attention blocks' features, its noise, its identity."""

from ldznet_cli.ldm.blocks import PAPER_BLOCKS, attention_blocks, paper_blocks
from ldznet_cli.ldm.digests import LdmDigests, digests_of
from ldznet_cli.ldm.folder import resolve
from ldznet_cli.ldm.frozen import FrozenLDM
from ldznet_cli.ldm.noise import Draw, DrawPolicy, Schedule

__all__ = [
    "PAPER_BLOCKS",
    "Draw",
    "DrawPolicy",
    "FrozenLDM",
    "LdmDigests",
    "Schedule",
    "attention_blocks",
    "digests_of",
    "paper_blocks",
    "resolve",
]
