"""A trained net on the test scenes of every style, and LD-ZNet's controls: what it does with features that lie."""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from ldznet_cli.features import CachedFeatures, FeatureSource, LiveFeatures
from ldznet_cli.ldm import FrozenLDM
from ldznet_cli.miniature.events import BuildEvent
from ldznet_cli.miniature.paper.controls import SwappedFeatures, ZeroedFeatures, partners
from ldznet_cli.miniature.paper.material import World
from ldznet_cli.miniature.paper.scores import Scores, merged, net_maps, score
from ldznet_cli.miniature.paper.subsets import of_class
from ldznet_cli.miniature.paper.training import Variant
from ldznet_cli.nets import load_net, read_info
from ldznet_cli.samples.coco import SampleSet

CONTROLS = ("other image", "zeros")
NOVEL = "novel"

Tested = Generator[BuildEvent, None, tuple[dict[str, Any], Scores]]


def test_net(world: World, variant: Variant, folder: Path) -> Tested:
    """Numbers as `photo/objects/mIoU@best`; `novel/photo/…` of the protocol's class alone; LD-ZNet's controls as
    `zeros/photo/…` and `other image/photo/…`."""
    yield from world.test_features(variant.ldm)
    net, info = load_net(folder), read_info(folder)
    cached = world.cached(variant.ldm, net.config.blocks, test=True)
    live = _live(world, cached) if variant.name == "ldznet" else None
    parts, began = [], time.monotonic()
    for number, style in enumerate(world.protocol.styles, 1):
        samples = world.test(style)
        sources: dict[str, FeatureSource] = {style: cached}
        if live is not None:
            sources |= _controls(world, cached, live, samples, style)
        asked = [(name, source, samples) for name, source in sources.items()]
        asked.append((f"{NOVEL}/{style}", cached, of_class(samples, world.protocol.novel)))
        for name, source, those in asked:
            maps = net_maps(net, source, those, cached.settings.geometry, rgb=variant.kind == "rgbnet")
            parts.append((name, score(those, maps, info.threshold, world.protocol.replicates)))
        yield BuildEvent(f"{folder.name}, tested", number, len(world.protocol.styles))
    about = {
        "parameters": sum(parameter.numel() for parameter in net.parameters()),
        "threshold": info.threshold,
        "test_seconds": round(time.monotonic() - began, 1),
    }
    return about, merged(parts)


def _live(world: World, cached: CachedFeatures) -> LiveFeatures:
    """The cache's own features, computed: no cache knows a phrase on another's image."""
    ldm = FrozenLDM.load(world.ldm("bundled"), blocks=cached.blocks)
    return LiveFeatures(ldm, cached.settings.geometry, cached.settings.policy)


def _controls(
    world: World, cached: CachedFeatures, live: LiveFeatures, samples: SampleSet, style: str
) -> dict[str, FeatureSource]:
    """Features that lie, by what the names of their numbers begin with."""
    swapped = SwappedFeatures(live, partners(samples.images, world.protocol.seeds[0]))
    return {f"{CONTROLS[0]}/{style}": swapped, f"{CONTROLS[1]}/{style}": ZeroedFeatures(cached)}
