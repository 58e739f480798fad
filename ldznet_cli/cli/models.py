"""From the names that users type to folders and devices."""

from __future__ import annotations

import os
from pathlib import Path

from ldznet_cli.cli import console
from ldznet_cli.config import MINIATURE
from ldznet_cli.errors import UsageError, WeightsUnavailable

MINIATURE_NOTICE = (
    "the bundled miniature model knows drawn scenes only; for masks of real pictures use "
    "--predictor clipseg, or the authors' checkpoint through `ldznet weights import`"
)

WIDE = 640
"""Channels that every UNet of Stable Diffusion's reaches at its deep levels; the miniature's is far narrower."""


def resolve_ldm(name: str) -> str | Path:
    """The bundled LDM's folder for "miniature", else `name` as it is: a folder or a hub id.

    Raises WeightsUnavailable when the bundle is not in this installation.
    """
    if name != MINIATURE:
        return name
    from ldznet_cli.miniature.bundle import ldm_folder

    return ldm_folder()


def preset_of(ldm: str) -> str:
    """Which preset of `ldznet train` fits the size of this LDM's UNet: "miniature" for the bundled one and for folders
    with one as narrow, else "paper". Raises ModelError for a folder whose configuration cannot be read."""
    config = Path(ldm) / "unet" / "config.json"
    if ldm == MINIATURE:
        return MINIATURE
    if not config.is_file():
        return "paper"
    from ldznet_cli.ldm.folder import read_json

    widths = read_json(config).get("block_out_channels")
    narrow = isinstance(widths, list) and all(isinstance(width, int) and width < WIDE for width in widths)
    return MINIATURE if narrow else "paper"


def resolve_model(name: str | None) -> Path:
    """The net's folder; without a name the bundled one's, and one line says what that means.

    Raises WeightsUnavailable for a folder that is not there, and when the bundle is not installed.
    """
    if name is None or name == MINIATURE:
        from ldznet_cli.miniature.bundle import model_folder

        if name is None:
            console.say(f"ldznet: {MINIATURE_NOTICE}")
        return model_folder()
    folder = Path(name)
    if folder.is_file():
        raise WeightsUnavailable(
            f"--model: {folder} is a file; `ldznet weights import {folder} --out DIR` makes a folder of it"
        )
    if not folder.is_dir():
        raise WeightsUnavailable(
            f"--model: no folder {folder}; `ldznet train` and `ldznet weights import` make such folders"
        )
    return folder


def resolve_device(name: str) -> str:
    """ "auto" is CUDA where there is one, else the CPU; any other name is taken at its word.

    Raises UsageError for a device that this machine, or this build of PyTorch, does not have.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    # Under `accelerate launch`, each process has a device of its own.
    device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if name == "cuda" else name
    kind = name.partition(":")[0]
    there = torch.backends.mps.is_available() if kind == "mps" else torch.cuda.is_available()
    if kind in ("cuda", "mps") and not there:
        raise UsageError(
            f"--device {name} cannot be used here: this machine, or its PyTorch {torch.__version__}, has no {kind}; "
            "`ldznet doctor` lists what there is"
        )
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"--device {name} cannot be used here: {reason}") from error
    return device
