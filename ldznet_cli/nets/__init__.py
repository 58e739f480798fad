"""The segmentation nets: RGBNet, ZNet and LD-ZNet, their configurations, first values and folders."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ldznet_cli.nets.builders import for_ldm
    from ldznet_cli.nets.checkpoint import digest_of, load_net, save_net
    from ldznet_cli.nets.config import NetConfig
    from ldznet_cli.nets.initialisation import build_net, initialise
    from ldznet_cli.nets.manifest import NetInfo, read_info

_HOMES = {
    "NetConfig": "config",
    "NetInfo": "manifest",
    "build_net": "initialisation",
    "digest_of": "checkpoint",
    "for_ldm": "builders",
    "initialise": "initialisation",
    "load_net": "checkpoint",
    "read_info": "manifest",
    "save_net": "checkpoint",
}

__all__ = [
    "NetConfig",
    "NetInfo",
    "build_net",
    "digest_of",
    "for_ldm",
    "initialise",
    "load_net",
    "read_info",
    "save_net",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for only then: a configuration can be read without torch and diffusers (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
