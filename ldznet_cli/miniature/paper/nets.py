"""A trained net on the test scenes of every style, and LD-ZNet's controls: what it does with features that lie."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from ldznet_cli.features import CachedFeatures, FeatureSource, LiveFeatures
from ldznet_cli.ldm import FrozenLDM
from ldznet_cli.miniature.bundle import model_folder
from ldznet_cli.miniature.events import BuildEvent
from ldznet_cli.miniature.paper.controls import SwappedFeatures, ZeroedFeatures, partners
from ldznet_cli.miniature.paper.material import World
from ldznet_cli.miniature.paper.protocol import Ldm
from ldznet_cli.miniature.paper.scores import Scores, merged, net_maps, score
from ldznet_cli.miniature.paper.subsets import fewer_scenes, of_class, present
from ldznet_cli.miniature.paper.training import Variant
from ldznet_cli.nets import NetInfo, load_net, read_info
from ldznet_cli.samples.coco import SampleSet

CONTROLS = ("other image", "zeros")
NOVEL = "novel"

Tested = Generator[BuildEvent, None, tuple[dict[str, Any], Scores]]


@dataclass(frozen=True)
class _Trained:
    """A net from its folder, and how it is scored."""

    net: nn.Module
    info: NetInfo
    cached: CachedFeatures
    replicates: int

    def score(self, samples: SampleSet, source: FeatureSource | None = None) -> Scores:
        """On features from `source`, or on the cached ones."""
        rgb = self.info.config.kind == "rgbnet"
        maps = net_maps(self.net, source or self.cached, samples, self.cached.settings.geometry, rgb=rgb)
        return score(samples, maps, self.info.threshold, self.replicates)


def test_net(world: World, variant: Variant, folder: Path) -> Tested:
    """Numbers as `photo/objects/mIoU@best`; `novel/photo/…` of the protocol's class alone; LD-ZNet's controls as
    `zeros/photo/…` and `other image/photo/…`."""
    yield from world.test_features(variant.ldm)
    trained = _load(world, folder, variant.ldm, test=True)
    cached = trained.cached
    parts, began = [], time.monotonic()
    for number, style in enumerate(world.protocol.styles, 1):
        samples = world.test(style)
        sources: dict[str, FeatureSource] = {style: cached}
        if variant.name == "ldznet":
            sources |= {f"{name}/{style}": fed for name, fed in _controls(world, cached, samples).items()}
        asked = [(name, source, samples) for name, source in sources.items()]
        asked.append((f"{NOVEL}/{style}", cached, of_class(samples, world.protocol.novel)))
        for name, source, those in asked:
            parts.append((name, trained.score(those, source)))
        yield BuildEvent(f"{folder.name}, tested", number, len(world.protocol.styles))
    about = {
        "parameters": sum(parameter.numel() for parameter in trained.net.parameters()),
        "threshold": trained.info.threshold,
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
        trained = _load(world, place)
        sources = {"own": trained.cached, **_controls(world, trained.cached, samples)}
        for control, source in sources.items():
            parts.append((f"{name}/{control}", trained.score(samples, source)))
            yield BuildEvent("LD-ZNet's controls on validation scenes", len(parts), 2 * len(sources))
    return {}, merged(parts)


def measure_fit(world: World, folders: Mapping[str, Path]) -> Tested:
    """Each net on scenes that it was trained with and on as many validation scenes: has it learned any by heart?

    `znet/train/…`, `znet/validation/…`.
    """
    yield from world.features("bundled")
    validation = world.samples("validation")
    training = fewer_scenes(world.samples("train"), len(validation.images), world.protocol.seeds[0])
    sets = {"train": present(training), "validation": present(validation)}
    parts = []
    for name, folder in folders.items():
        trained = _load(world, folder)
        for where, samples in sets.items():
            parts.append((f"{name}/{where}", trained.score(samples)))
            yield BuildEvent("nets on training and validation scenes", len(parts), len(sets) * len(folders))
    return {}, merged(parts)


def _load(world: World, folder: Path, ldm: Ldm = "bundled", *, test: bool = False) -> _Trained:
    net = load_net(folder)
    cached = world.cached(ldm, net.config.blocks, test=test)
    return _Trained(net, read_info(folder), cached, world.protocol.replicates)


def _live(world: World, cached: CachedFeatures) -> LiveFeatures:
    """The cache's own features, computed: no cache knows a phrase on another's image."""
    ldm = FrozenLDM.load(world.ldm("bundled"), blocks=cached.blocks)
    return LiveFeatures(ldm, cached.settings.geometry, cached.settings.policy)


def _controls(world: World, cached: CachedFeatures, samples: SampleSet) -> dict[str, FeatureSource]:
    """Features that lie, by what they are called."""
    swapped = SwappedFeatures(_live(world, cached), partners(samples.images, world.protocol.seeds[0]))
    return dict(zip(CONTROLS, (swapped, ZeroedFeatures(cached)), strict=True))
