"""Does LD-ZNet use what the LDM knows? At test time another image's features, or none; and an LDM that knows none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel

from ldznet_cli.errors import UsageError
from ldznet_cli.features.source import FeatureItem, FeatureSource, SampleFeatures
from ldznet_cli.ldm.folder import find_parts
from ldznet_cli.ldm.quiet import quiet_libraries
from ldznet_cli.miniature.scenes.scene import generator
from ldznet_cli.samples.listing import ImageRef


@dataclass(frozen=True)
class ZeroedFeatures:
    """A FeatureSource that leaves z and text as they are and takes the blocks away: all zeros."""

    source: FeatureSource

    def features(self, image: ImageRef, items: Sequence[FeatureItem]) -> list[SampleFeatures]:
        """As the source's, with zeros for blocks."""
        return [
            replace(one, blocks={index: torch.zeros_like(block) for index, block in one.blocks.items()})
            for one in self.source.features(image, items)
        ]


@dataclass(frozen=True)
class SwappedFeatures:
    """A FeatureSource that gives each image's own z and text, and the blocks of `partner[image]` for the same phrase.

    The source has to know the phrase on the partner: a live one does, a cache only where it was filled so.
    """

    source: FeatureSource
    partner: Mapping[ImageRef, ImageRef]

    def features(self, image: ImageRef, items: Sequence[FeatureItem]) -> list[SampleFeatures]:
        """As the source's, with another image's blocks. Raises KeyError for an image without a partner."""
        others = self.source.features(self.partner[image], items)
        own = self.source.features(image, items)
        return [replace(one, blocks=other.blocks) for one, other in zip(own, others, strict=True)]


def partners(images: Sequence[ImageRef], seed: int = 0) -> dict[ImageRef, ImageRef]:
    """Another image for each: a derangement in one cycle, drawn from the seed. Raises UsageError below two images."""
    unique = list(dict.fromkeys(images))
    if len(unique) < 2:
        raise UsageError("features of another image need at least two images")
    ring = [unique[i] for i in generator("partners", seed).permutation(len(unique))]
    return dict(zip(ring, [*ring[1:], ring[0]], strict=True))


def write_random_ldm(source: Path, out: Path, seed: int = 0) -> Path:
    """Writes the folder `out`: the LDM in `source` with a UNet of the same configuration and random weights.

    First stage, text encoder and schedule are its own, to the byte; the UNet is as it was before its training's first
    step, for another seed, in float16. Raises UsageError where `out` is there already or `source` has no UNet.
    """
    if out.exists():
        raise UsageError(f"{out} is there already; name a new folder")
    unet = find_parts(source).unet
    if unet is None:
        raise UsageError(f"{source} has no UNet to make a random one of")
    temporary = out.with_name(out.name + ".new")
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(source, temporary, ignore=shutil.ignore_patterns(unet.name, "training.json"))
    with quiet_libraries():
        config = UNet2DConditionModel.load_config(unet)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made = UNet2DConditionModel.from_config(config)
        made.to(torch.float16).save_pretrained(temporary / unet.name)
    os.replace(temporary, out)
    return out
