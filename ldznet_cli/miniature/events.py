"""What a build of the miniature tells: its stages in order, and how far one of them has come."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal, get_args

Stage = Literal[
    "scenes", "text", "autoencoder", "latents", "ldm", "decoder", "pipeline", "nets", "scores", "card"
]
STAGES: tuple[Stage, ...] = get_args(Stage)


@dataclass(frozen=True)
class BuildEvent:
    """Progress within a stage, or within a named part of one; `note` is a line for the log."""

    stage: str
    done: int
    total: int
    note: str = ""


Events = Generator[BuildEvent, None, None]
