"""The options that say which features of the frozen LDM are meant, and their reading: for every verb that has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ldznet_cli.cli import models
from ldznet_cli.errors import UsageError

if TYPE_CHECKING:
    from ldznet_cli.ldm import DrawPolicy, FrozenLDM
    from ldznet_cli.samples.images import Geometry
    from ldznet_cli.samples.view import ViewPolicy

RANDOM = "random"
PAPER = "paper"
CACHE_FOLDER = "ldznet-cache"
"""Where features go when no --cache is given."""

Blocks = Annotated[
    str,
    typer.Option(
        "--blocks",
        metavar="LIST",
        help="The UNet's attention blocks: 'paper', or indices from 0 as in 5,6,7.",
    ),
]
Draws = Annotated[
    int, typer.Option("--draws", min=1, help="Draws of timestep, noise and template for each phrase.")
]
Timesteps = Annotated[
    str, typer.Option("--timesteps", metavar="LOW:HIGH", help="Draw timesteps from LOW to below HIGH.")
]
Template = Annotated[
    str,
    typer.Option(
        "--template",
        help="The prompt around a phrase, as in 'a photo of a {}.'; 'random' draws one of the paper's nine.",
    ),
]


def parse_blocks(text: str) -> Literal["paper"] | tuple[int, ...]:
    """What FrozenLDM.load takes. Raises UsageError."""
    if text == PAPER:
        return "paper"
    try:
        return tuple(int(index) for index in text.split(","))
    except ValueError:
        raise UsageError(f"--blocks {text!r}: expected 'paper' or indices from 0, as in 5,6,7") from None


def parse_policy(seed: int, timesteps: str, template: str) -> DrawPolicy:
    """Raises UsageError for what is no range, PromptError for a template that does not hold `{}` once."""
    from ldznet_cli.ldm import DrawPolicy
    from ldznet_cli.samples.templates import prompt_of

    low, colon, high = (part.strip() for part in timesteps.partition(":"))
    if not (colon and low.isdecimal() and high.isdecimal()):
        raise UsageError(f"--timesteps {timesteps!r}: expected LOW:HIGH, as in 300:500")
    if template != RANDOM:
        prompt_of("phrase", template)
    return DrawPolicy(seed, (int(low), int(high)), None if template == RANDOM else template)


def geometry_for(
    ldm: FrozenLDM, shape: Literal["aligned", "square", "official"], size: int | None
) -> Geometry:
    """The geometry, in the LDM's own size when none is given. Raises UsageError."""
    from ldznet_cli.samples.images import Geometry

    return Geometry(shape, ldm.default_size if size is None else size)


def load_ldm(
    name: str,
    blocks: Literal["paper"] | tuple[int, ...],
    vae: str | None,
    device: str,
    dtype: str,
    offline: bool,
) -> FrozenLDM:
    """The LDM that --ldm names, with these blocks (none: z and text only).

    Raises WeightsUnavailable, ModelError, UsageError.
    """
    import torch

    from ldznet_cli.ldm import FrozenLDM

    folder, place = models.resolve_ldm(name), models.resolve_device(device)
    return FrozenLDM.load(
        folder, blocks=blocks, device=place, dtype=getattr(torch, dtype), vae=vae, offline=offline
    )


def require_timesteps(ldm: FrozenLDM, policy: DrawPolicy) -> None:
    """Raises UsageError when the policy draws timesteps that the LDM's schedule does not have."""
    low, high = policy.timesteps
    if ldm.blocks and high > ldm.schedule.timesteps:
        count = ldm.schedule.timesteps
        raise UsageError(
            f"--timesteps {low}:{high}: the LDM has {count} timesteps, so HIGH is at most {count}"
        )


def parse_views(count: int, crop: float | None, flip: bool, seed: int) -> ViewPolicy | None:
    """The views that --views, --crop and --flip ask for. Raises UsageError where one says nothing without another."""
    from ldznet_cli.samples.view import ViewPolicy

    if bool(count) != (crop is not None or flip):
        raise UsageError("--views says how many, --crop and --flip how they are drawn: give both, or neither")
    return ViewPolicy(crop, flip, seed, count) if count else None
