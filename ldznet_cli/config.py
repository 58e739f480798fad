"""Names that several rooms share, and the reading of `ldznet.toml`."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from ldznet_cli.errors import UsageError

SETTINGS_FILE = "ldznet.toml"
"""Defaults of the options, looked for in the working folder only: what a folder says holds in that folder."""

ENVIRONMENT_PREFIX = "LDZNET_"
"""`--some-option` is also LDZNET_SOME_OPTION."""

MINIATURE = "miniature"
"""The name under which the bundled LDM and the bundled nets are known."""

OUT_FOLDER = Path("ldznet-out")
"""Where files go when no --out is given."""

MASK_NAME = "{image}/{label}"
"""How masks are called there: the image's name without suffix, a folder, and in it the label."""

TRAINING_PICTURE = "training.png"
"""What `ldznet plot` draws in a run's folder unless told otherwise."""

CLIPSEG = "CIDAS/clipseg-rd64-refined"
"""The weights that transformers' own documentation uses; the paper's CLIPSeg (PC+) with a finer decoder."""

CLIP = "openai/clip-vit-large-patch14"
"""Where OpenAI publishes CLIP in the format of transformers: Stable Diffusion 1.x and 2.x both use its vocabulary."""

TEMPLATES: tuple[str, ...] = (
    "a photo of a {}.",
    "a photograph of a {}.",
    "an image of a {}.",
    "{}.",
    "a cropped photo of a {}.",
    "a good photo of a {}.",
    "a photo of one {}.",
    "a bad photo of a {}.",
    "a photo of the {}.",
)
"""The paper's nine prompt templates (LD-ZNet, section 4: PhraseCut phrases are wrapped in one drawn at random)."""


def user_cache() -> Path:
    """The folder for what can be made again at any time: `$XDG_CACHE_HOME/ldznet` or `~/.cache/ldznet`."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "ldznet"


def read_settings(folder: Path | None = None) -> dict[str, Any]:
    """The content of `ldznet.toml` in `folder` (the working folder by default), empty where there is none.

    Raises UsageError when the file cannot be read or is not TOML.
    """
    path = (folder or Path()) / SETTINGS_FILE
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
