"""One net of the study: what distinguishes it, its training from the cache, and what is written down of it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ldznet_cli.ldm import FrozenLDM
from ldznet_cli.miniature.events import BuildEvent
from ldznet_cli.miniature.paper.material import World
from ldznet_cli.miniature.paper.protocol import Ldm
from ldznet_cli.miniature.paper.subsets import fewer_scenes, without_class
from ldznet_cli.miniature.segmentation import cached_material, told
from ldznet_cli.nets import NetConfig, for_ldm
from ldznet_cli.nets.config import Fusion, Kind
from ldznet_cli.training.folder import read_record
from ldznet_cli.training.run import Material, plan, run


@dataclass(frozen=True)
class Variant:
    """A net, but for seed and learning rate. `tuned` names the variant whose learning rate it takes."""

    name: str
    kind: Kind
    tuned: str
    fusion: Fusion | None = None
    positions: bool = True
    init: str = "ldm"
    ldm: Ldm = "bundled"
    """Whose features and text."""
    start: Ldm | None = None
    """Whose UNet it starts from; `ldm`'s when None."""
    scenes: int | None = None
    """How many training scenes; all of them when None."""
    without: str | None = None
    """The object class whose masks neither its training nor its validation sees."""


def train_net(world: World, variant: Variant, rate: float, seed: int) -> Generator[BuildEvent, None, Path]:
    """The run folder of the trained net; goes on where it was interrupted."""
    folder = world.own / "runs" / f"{variant.name}-{rate:g}-{seed}"
    yield from world.features(variant.ldm)
    ldm = FrozenLDM.load(world.ldm(variant.start or variant.ldm), blocks=())
    config = replace(world.protocol.training, learning_rate=rate, seed=seed)
    net = net_config(world, variant, ldm)
    begun = plan(folder, config, net, variant.init, _material(world, variant, net))
    weights = ldm.unet_state_dict if variant.init == "ldm" else None
    yield from told(run(begun, unet_weights=weights, stop=world.stop), folder.name, config.steps)
    return folder


def net_config(world: World, variant: Variant, ldm: FrozenLDM) -> NetConfig:
    """The variant's configuration on this LDM."""
    width = world.protocol.scenes.head_width
    net = for_ldm(ldm.unet_config, variant.kind, variant.fusion, width)
    return net if variant.positions else replace(net, positions="none")


def trained(folder: Path) -> dict[str, Any]:
    """What a result says of a training: the course of its validation, its seconds, its samples."""
    record = read_record(folder)
    assert record is not None
    best = max(record["validations"], key=lambda found: found["miou"])
    return {
        "validations": record["validations"],
        "best": best,
        **{name: record[name] for name in ("step", "seconds", "samples")},
        "learning_rate": record["settings"]["learning_rate"],
        "seed": record["settings"]["seed"],
    }


def _material(world: World, variant: Variant, net: NetConfig) -> Material:
    training, validation = world.samples("train"), world.samples("validation")
    if variant.scenes is not None:
        training = fewer_scenes(training, variant.scenes, world.protocol.seeds[0])
    if variant.without is not None:
        training = without_class(training, variant.without)
        # Weights and threshold are chosen on these masks.
        validation = without_class(validation, variant.without, missing_ok=True)
    cached = world.cached(variant.ldm, net.blocks)
    return cached_material(training, validation, cached, (variant.ldm, world.digests(variant.ldm)))
