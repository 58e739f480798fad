"""A trained net on the test scenes of every style, and LD-ZNet's controls: what it does with features that lie."""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from ldznet_cli.features import CachedFeatures, FeatureSource, LiveFeatures
from ldznet_cli.ldm import FrozenLDM
from ldznet_cli.miniature.bundle import model_folder
from ldznet_cli.miniature.events import BuildEvent
from ldznet_cli.miniature.paper.controls import SwappedFeatures, ZeroedFeatures, partners
from ldznet_cli.miniature.paper.material import World
from ldznet_cli.miniature.paper.scores import Scores, merged, net_maps, score
from ldznet_cli.miniature.paper.subsets import of_class, present
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
    parts, began = [], time.monotonic()
    for number, style in enumerate(world.protocol.styles, 1):
        samples = world.test(style)
        sources: dict[str, FeatureSource] = {style: cached}
        if variant.name == "ldznet":
            sources |= {f"{name}/{style}": fed for name, fed in _controls(world, cached, samples).items()}
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


def validate_controls(world: World, folder: Path) -> Tested:
    """LD-ZNet and its controls on validation scenes: this study's net, and the bundled one, of a longer training.

    `study/zeros/…`, `bundled/other image/…`; with the features that belong to the image `study/own/…`.
    """
    yield from world.features("bundled")
    samples = present(world.samples("validation"))
    parts = []
    for name, place in (("study", folder), ("bundled", model_folder("ldznet"))):
        net, info = load_net(place), read_info(place)
        cached = world.cached("bundled", net.config.blocks)
        sources = {"own": cached, **_controls(world, cached, samples)}
        for control, source in sources.items():
            maps = net_maps(net, source, samples, cached.settings.geometry)
            found = score(samples, maps, info.threshold, world.protocol.replicates)
            parts.append((f"{name}/{control}", found))
            yield BuildEvent("LD-ZNet's controls on validation scenes", len(parts), 2 * len(sources))
    return {}, merged(parts)


def _live(world: World, cached: CachedFeatures) -> LiveFeatures:
    """The cache's own features, computed: no cache knows a phrase on another's image."""
    ldm = FrozenLDM.load(world.ldm("bundled"), blocks=cached.blocks)
    return LiveFeatures(ldm, cached.settings.geometry, cached.settings.policy)


def _controls(world: World, cached: CachedFeatures, samples: SampleSet) -> dict[str, FeatureSource]:
    """Features that lie, by what they are called."""
    swapped = SwappedFeatures(_live(world, cached), partners(samples.images, world.protocol.seeds[0]))
    return dict(zip(CONTROLS, (swapped, ZeroedFeatures(cached)), strict=True))
