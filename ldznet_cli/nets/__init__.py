"""The segmentation nets: RGBNet, ZNet and LD-ZNet, their configurations, first values and folders."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ldznet_cli.nets.builders import for_ldm, paper
    from ldznet_cli.nets.checkpoint import digest_of, load_net, save_net, verify
    from ldznet_cli.nets.config import NetConfig
    from ldznet_cli.nets.initialisation import build_net, initialise
    from ldznet_cli.nets.manifest import NetInfo, read_info
    from ldznet_cli.nets.numbering import attention_blocks, paper_blocks
    from ldznet_cli.nets.segmenters import SegmentationNet

_HOMES = {
    "NetConfig": "config",
    "NetInfo": "manifest",
    "SegmentationNet": "segmenters",
    "attention_blocks": "numbering",
    "build_net": "initialisation",
    "digest_of": "checkpoint",
    "for_ldm": "builders",
    "initialise": "initialisation",
    "load_net": "checkpoint",
    "paper": "builders",
    "paper_blocks": "numbering",
    "read_info": "manifest",
    "save_net": "checkpoint",
    "verify": "checkpoint",
}

__all__ = [
    "NetConfig",
    "NetInfo",
    "SegmentationNet",
    "attention_blocks",
    "build_net",
    "digest_of",
    "for_ldm",
    "initialise",
    "load_net",
    "paper",
    "paper_blocks",
    "read_info",
    "save_net",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for only then: a configuration can be read without torch and diffusers (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
