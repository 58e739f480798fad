"""The authors' checkpoint → a net folder, with what their inference takes for granted written down in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ldznet_cli.errors import ModelError
from ldznet_cli.ldm.digests import digests_of
from ldznet_cli.ldm.folder import find_parts, read_json, weight_files
from ldznet_cli.ldm.lightning import read_state_dict
from ldznet_cli.ldm.staging import refuse_filled, staged
from ldznet_cli.ldm.weights import Weights
from ldznet_cli.nets.authors_checkpoint import Ignored, Layout, import_official, same_frozen_unet
from ldznet_cli.nets.builders import read_unet_config
from ldznet_cli.nets.checkpoint import Which, fill, save_net
from ldznet_cli.nets.manifest import NetInfo, read_info
from ldznet_cli.nets.segmenters import skeleton

LDM_NAME = "CompVis/stable-diffusion-v1-4"
"""The LDM of the authors' nets (paper, section 5)."""
GEOMETRY = {"kind": "official", "size": 384}
"""Parity fact 9."""
TIMESTEPS = (300, 500)
THRESHOLD = 0.5
"""Where a pixel is as likely in as out, by the loss: the authors publish no threshold (parity fact 11)."""
_PARTS = ("first_stage", "text", "unet", "schedule")

Frozen = Literal["same", "another", "none"]


@dataclass(frozen=True)
class ImportedFolder:
    """What was imported.

    info:       what the folder now says of the net
    parameters: how many there are
    tensors:    how many keys were taken
    weights:    "ema", "raw", or "bare" = the file does not say
    ignored:    what was left, and why
    frozen:     the frozen UNet inside the checkpoint against the LDM's: "same", "another"; "none" to compare
    """

    info: NetInfo
    parameters: int
    tensors: int
    weights: Layout
    ignored: tuple[Ignored, ...]
    frozen: Frozen


@dataclass(frozen=True)
class NamedLdm:
    """An LDM on this machine, and what it is to be called."""

    name: str
    folder: Path


def import_net(
    path: Path, out: Path, which: Which = "auto", *, ldm: NamedLdm | None = None
) -> ImportedFolder:
    """Writes the net in the checkpoint `path` as the folder `out`, which must be new.

    With `ldm` the folder names that LDM by hash and takes no other; without, it names Stable Diffusion v1.4, and takes
    whatever has its shape. Raises UsageError for an `out` that is not empty, ModelError for a file that holds no such
    net, WeightsUnavailable for an LDM that is not whole, DiskFull.
    """
    refuse_filled(out)
    state = read_state_dict(path)
    unet_folder = _unet_folder(ldm) if ldm else None
    unet = read_unet_config(read_json(unet_folder / "config.json")) if unet_folder else None
    found = import_official(state, which, ldm_unet=unet, where=str(path))
    frozen: Frozen = "none"
    if unet is not None and unet_folder is not None:
        weights = Weights(weight_files(unet_folder, "unet"))
        same = same_frozen_unet(state, unet, weights.read(weights.shapes()))
        frozen = "none" if same is None else "same" if same else "another"
    net = skeleton(found.config)
    fill(net, found.tensors, str(path))
    info = NetInfo(
        config=found.config,
        ldm_name=ldm.name if ldm else LDM_NAME,
        ldm_digests=digests_of(ldm.folder).to_dict() if ldm else dict.fromkeys(_PARTS),
        geometry=dict(GEOMETRY),
        threshold=THRESHOLD,
        timesteps=TIMESTEPS,
        training={"imported": path.name, "weights": found.weights, "absent_phrases": False},
    )
    with staged(out) as part:
        save_net(part, net, info)
    parameters = sum(tensor.numel() for tensor in found.tensors.values())
    return ImportedFolder(
        read_info(out), parameters, len(found.tensors), found.weights, found.ignored, frozen
    )


def _unet_folder(ldm: NamedLdm) -> Path:
    folder = find_parts(ldm.folder).unet
    if folder is None:
        raise ModelError(f"--ldm: {ldm.name} has no UNet; name a whole latent diffusion model")
    return folder
