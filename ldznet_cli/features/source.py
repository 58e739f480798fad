"""What a segmentation net eats for one (image, phrase, draw), and the seam that it comes through.

Live from the LDM (live.py) or out of the cache (cached.py): whoever asks cannot tell, and should not need to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ldznet_cli.ldm.noise import DrawPolicy
from ldznet_cli.samples.images import ImageRef, identity_of
from ldznet_cli.samples.templates import clean_phrase, prompt_of


@dataclass(frozen=True, order=True)
class FeatureItem:
    """One phrase, and which of its draws of timestep, noise and template: 0, 1, …"""

    phrase: str
    draw: int = 0

    def clean(self) -> FeatureItem:
        """The same item without white space that means nothing. Raises PromptError for an empty phrase."""
        return FeatureItem(clean_phrase(self.phrase), self.draw)


@dataclass(frozen=True)
class SampleFeatures:
    """All in float32: on the CPU out of a cache or a fake, on the LDM's device live.

    `blocks` maps the index of an attention block (from 0) to its output, (C, h', w') at the block's own resolution.
    """

    z: Float[Tensor, "4 h w"]
    text: Float[Tensor, "L D"]
    blocks: dict[int, Float[Tensor, "C _h _w"]]
    prompt: str
    timestep: int


@runtime_checkable
class FeatureSource(Protocol):
    """Where features come from."""

    def features(self, image: ImageRef, items: Sequence[FeatureItem]) -> list[SampleFeatures]:
        """One for each of `items`, in their order; all are of one image, which is one unit of work."""
        ...


@dataclass(frozen=True)
class RandomFeatures:
    """The fake: standard normal numbers that depend on the image's content, the phrase and the draw alone.

    `blocks` maps each block to its (C, h', w'); `grid` is z's (h, w); `text` is (L, D).
    """

    blocks: Mapping[int, tuple[int, int, int]] = field(default_factory=dict)
    grid: tuple[int, int] = (8, 8)
    text: tuple[int, int] = (8, 16)
    policy: DrawPolicy = field(default_factory=DrawPolicy)

    def features(self, image: ImageRef, items: Sequence[FeatureItem]) -> list[SampleFeatures]:
        sha256 = identity_of(image)
        return [self._sample(sha256, item.clean()) for item in items]

    def _sample(self, sha256: str, item: FeatureItem) -> SampleFeatures:
        draw = self.policy.draw(sha256, item.phrase, item.draw)
        prompt = prompt_of(item.phrase, draw.template)
        blocks = {
            index: _normal(f"{sha256}/{prompt}/{draw.key.hex()}/{index}", shape)
            for index, shape in self.blocks.items()
        }
        z, text = _normal(f"{sha256}/z", (4, *self.grid)), _normal(f"text/{prompt}", self.text)
        return SampleFeatures(z, text, blocks, prompt, draw.timestep)


def _normal(name: str, shape: tuple[int, ...]) -> Tensor:
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "big")
    return torch.from_numpy(
        np.random.Generator(np.random.Philox(key=seed)).standard_normal(shape, np.float32)
    )
