"""A random net in a folder, for the random latent diffusion model of tests/tiny.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from ldznet_cli.ldm import FrozenLDM
from ldznet_cli.nets import NetInfo, build_net, for_ldm, initialise, save_net


def tiny_net(
    folder: Path, ldm: Path, kind: Literal["rgbnet", "znet", "ldznet"] = "ldznet", **changes: Any
) -> Path:
    """Writes the net folder and returns it; `changes` replace fields of its NetInfo."""
    frozen = FrozenLDM.load(ldm, blocks=())
    config = for_ldm(frozen.unet_config, kind, head_width=4)
    net = build_net(config)
    initialise(net, frozen.unet_state_dict(), seed=1)
    net.final[-1].weight.data.mul_(100)  # so that a phrase makes a difference that rounding does not
    fields: dict[str, Any] = {
        "config": config,
        "ldm_name": str(ldm),
        "ldm_digests": frozen.digests.to_dict(),
        "geometry": {"kind": "aligned", "size": 64},
        "threshold": 0.5,
        "timesteps": (300, 500),
    }
    save_net(folder, net, NetInfo(**{**fields, **changes}))
    return folder
