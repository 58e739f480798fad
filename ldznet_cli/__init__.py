"""Text to masks with latent diffusion features: RGBNet, ZNet and LD-ZNet (PNVR et al., ICCV 2023)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ldznet_cli.evaluation import evaluate
    from ldznet_cli.inference import Segmenter
    from ldznet_cli.ldm import FrozenLDM
    from ldznet_cli.nets import load_net

__version__ = "0.1.0"

__all__ = ["FrozenLDM", "Segmenter", "__version__", "evaluate", "load_net"]

_ROOMS = {
    "FrozenLDM": "ldznet_cli.ldm",
    "Segmenter": "ldznet_cli.inference",
    "evaluate": "ldznet_cli.evaluation",
    "load_net": "ldznet_cli.nets",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562): `ldznet --help` need not import torch."""
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ROOMS[name]), name)


def __dir__() -> list[str]:
    return __all__
