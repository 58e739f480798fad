"""The recipe of the bundled segmentation nets: which scenes they see and how long they train."""

from __future__ import annotations

from dataclasses import dataclass

from ldznet_cli.nets.config import Kind
from ldznet_cli.training.config import TrainConfig, preset


@dataclass(frozen=True)
class NetRecipe:
    """One bundled segmentation net."""

    kind: Kind
    training: TrainConfig


_TRAINING = preset(
    "miniature",
    steps=3_400,
    batch=32,
    learning_rate=5e-4,
    validate_every=340,  # close: the course shows how soon a net comes near its plateau
    checkpoint_every=200,
    validation_samples=400,
    precision="bfloat16",
    workers=1,
)


@dataclass(frozen=True)
class NetsRecipe:
    """The segmentation nets: masks of `photo` scenes alone, 20 % of the phrases absent."""

    training_seed: int = 2001
    validation_seed: int = 2002
    """The best weights and the threshold are chosen on it."""
    held_out_seed: int = 2003
    scenes: int = 2_000
    validation_scenes: int = 150
    held_out_scenes: int = 300
    """Of each style."""
    absent: int = 3
    """Phrases of each scene that name nothing in it."""
    draws: int = 2
    head_width: int = 16
    nets: tuple[NetRecipe, ...] = (
        NetRecipe("ldznet", _TRAINING),
        NetRecipe("znet", _TRAINING),
    )
    """Both at the same budget."""


def tiny_nets() -> NetsRecipe:
    """Both nets in a few seconds, for tests."""
    training = preset(
        "miniature",
        steps=3,
        batch=2,
        warmup=1,
        validate_every=3,
        checkpoint_every=2,
        validation_samples=4,
    )
    return NetsRecipe(
        scenes=3,
        validation_scenes=1,
        held_out_scenes=1,
        absent=1,
        draws=1,
        head_width=2,
        nets=(NetRecipe("ldznet", training), NetRecipe("znet", training)),
    )
