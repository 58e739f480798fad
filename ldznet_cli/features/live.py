"""Features straight from the frozen LDM."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from torch import Tensor

from ldznet_cli.features import compute
from ldznet_cli.features.source import FeatureItem, SampleFeatures
from ldznet_cli.features.unit import BATCH, Request, Unit, unit_of
from ldznet_cli.ldm.frozen import FrozenLDM
from ldznet_cli.ldm.noise import DrawPolicy
from ldznet_cli.samples.images import Geometry, ImageRef, identity_of, read_view, to_tensor
from ldznet_cli.tensors import Pixels

_PROMPTS = 64  # text states kept in memory: 15 MB of Stable Diffusion's


class LiveFeatures:
    """A FeatureSource that computes what it is asked for; nothing is kept but the last few prompts' text states.

    The items of one call are one unit, run in batches of `batch`. With `z_only` the UNet is not run, and `blocks`
    of what is returned are empty.
    """

    def __init__(
        self,
        ldm: FrozenLDM,
        geometry: Geometry,
        policy: DrawPolicy,
        *,
        batch: int = BATCH,
        z_only: bool = False,
    ) -> None:
        self.ldm, self.geometry, self.policy, self.batch, self.z_only = ldm, geometry, policy, batch, z_only
        self._text = lru_cache(_PROMPTS)(self._encode_text)

    def __repr__(self) -> str:
        return f"LiveFeatures({self.ldm.name!r}, {self.geometry}, {self.policy}, batch={self.batch})"

    def features(self, image: ImageRef, items: Sequence[FeatureItem]) -> list[SampleFeatures]:
        """One for each item, in float32, on the LDM's device.

        Raises ImageError for an unreadable image, PromptError for an empty or too long phrase.
        """
        unit = unit_of(image, identity_of(image), items, self.policy)
        return self.of_pixels(to_tensor(read_view(image), self.geometry), unit, items)

    def of_pixels(self, pixels: Pixels, unit: Unit, items: Sequence[FeatureItem]) -> list[SampleFeatures]:
        """As `features`, of an image already read: (1, 3, H, W) in [-1, 1]."""
        z = compute.encode_z(self.ldm, pixels)
        found = {
            request.item: SampleFeatures(
                z.float(),
                self._text(request.prompt).float(),
                {index: block.float() for index, block in blocks.items()},
                request.prompt,
                request.draw.timestep,
            )
            for request, blocks in self._blocks(z, unit)
        }
        return [found[item.clean()] for item in items]

    def _blocks(self, z: Tensor, unit: Unit) -> list[tuple[Request, dict[int, Tensor]]]:
        if self.z_only:
            return [(request, {}) for request in unit.requests]
        batches = compute.feature_batches(self.ldm, z, self._text, unit.requests, self.batch)
        return [row for rows in batches for row in rows]

    def _encode_text(self, prompt: str) -> Tensor:
        return compute.encode_text(self.ldm, prompt)
