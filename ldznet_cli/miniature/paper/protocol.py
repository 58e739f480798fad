"""Every number of the study, fixed before its first test score. `docs/paper/protocol.md` says what is compared and why.

A change is a new version with a new test seed; old results stay where they are and are listed beside the new ones.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ldznet_cli.miniature.net_recipe import NetsRecipe
from ldznet_cli.miniature.scenes import RENDERER_VERSION, STYLES
from ldznet_cli.training.config import TrainConfig, preset

Ldm = Literal["bundled", "random", "early", "middle"]
"""Whose features: the bundled one's, one of random UNet weights, or one trained for fewer steps."""


def _training() -> TrainConfig:
    return preset(
        "miniature",
        steps=2_000,
        batch=16,
        warmup=100,
        validate_every=500,
        checkpoint_every=200,
        validation_samples=400,
        precision="bfloat16",
        workers=1,
    )


@dataclass(frozen=True)
class Protocol:
    """All of it, but for the seed of the test scenes, which is drawn from the protocol's own commit."""

    version: int = 2
    renderer: int = RENDERER_VERSION
    styles: tuple[str, ...] = STYLES
    scenes: NetsRecipe = field(default_factory=lambda: NetsRecipe(nets=()))
    """Training and validation scenes are those of the bundled nets: `photo` alone; how those were trained is not
    the study's."""
    test_scenes: int = 500
    """Of each style."""
    training: TrainConfig = field(default_factory=_training)
    """The budget that all nets have in common; its seed and learning rate are each run's own."""
    learning_rates: tuple[float, ...] = (2.5e-4, 5e-4, 1e-3)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """The first is the one that learning rates are chosen with, and that single runs have."""
    mask_counts: tuple[int, ...] = (50, 200, 1_000)
    """Scenes with masks, beside all of them."""
    novel: str = "mushroom"
    """The object class that one pair of nets never sees a mask of."""
    ldm_steps: tuple[int, ...] = (1_000, 3_000)
    """The "early" and the "middle" LDM: the recipe of the bundled one, ended there."""
    draws: tuple[int, ...] = (1, 2, 4, 8)
    """Noise draws averaged at inference."""
    fixed_timestep: int = 400
    grounding_scenes: int = 100
    """Of each style, for the noise-difference map by timestep."""
    timesteps: tuple[int, ...] = (50, 150, 250, 350, 450, 550, 650, 750, 850, 950)
    probe_training: int = 400
    probe_test: int = 300
    """(image, phrase) pairs of the block x timestep figure, of `photo` training and validation scenes."""
    contrastive_minutes: int = 100
    """How long the CLIP of the discriminative baseline is trained: by then it has seen about what the LDM has."""
    real_size: int = 160
    """Side, in pixels, of the square with the area that real pictures come to, and on which they are scored."""
    replicates: int = 400
    """Of the bootstrap over images; each run's result keeps them."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @property
    def digest(self) -> str:
        """SHA-256 of all of its numbers, which every result carries."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()
