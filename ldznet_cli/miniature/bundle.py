"""Where the miniature's weights lie in the package."""

from __future__ import annotations

from pathlib import Path

from ldznet_cli.errors import WeightsUnavailable

_WEIGHTS = Path(__file__).parent / "weights"


def ldm_folder() -> Path:
    """The miniature LDM: a diffusers pipeline folder in float16. Raises WeightsUnavailable."""
    return _bundled("ldm", "model_index.json")


def model_folder(name: str = "ldznet") -> Path:
    """A bundled net, "ldznet" or "znet": a folder that `segment --model` takes. Raises WeightsUnavailable."""
    return _bundled(name, "config.json")


def weights_folder() -> Path:
    """Where `make miniature` writes: `ldm/`, the nets, `scores.json` and the model card."""
    return _WEIGHTS


def _bundled(name: str, marker: str) -> Path:
    folder = _WEIGHTS / name
    if not (folder / marker).exists():
        raise WeightsUnavailable(
            f"the bundled {name} is not in this installation ({folder}): reinstall, or run `make miniature`"
        )
    return folder
