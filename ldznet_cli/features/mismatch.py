"""Whether a cache's settings are those that someone wants, and if not, in which field they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ldznet_cli.features.key import Compute, FeatureSettings, Storage
from ldznet_cli.ldm.digests import LdmDigests
from ldznet_cli.ldm.noise import DrawPolicy
from ldznet_cli.samples.images import Geometry

Difference = tuple[str, object, object]
"""(field, expected, found)."""


@dataclass(frozen=True)
class Wanted:
    """What a reader needs of a cache; None where anything will do."""

    digests: LdmDigests | None = None
    geometry: Geometry | None = None
    policy: DrawPolicy | None = None
    blocks: Sequence[int] | None = None
    compute: Compute | None = None
    storage: Storage | None = None

    @property
    def z_and_text_only(self) -> bool:
        """Whether nothing is asked of the UNet, so that nothing that only concerns its features matters."""
        return self.blocks is not None and not self.blocks

    def differences(self, found: FeatureSettings) -> list[Difference]:
        """Every field in which `found` is not what is wanted; fields that nothing wanted depends on don't count."""
        pairs = [
            *self._digests(found),
            *self._geometry(found),
            *self._policy(found),
            ("compute", self.compute, found.compute),
        ]
        if not self.z_and_text_only:
            pairs.append(("storage", self.storage, found.storage))
        differences = [pair for pair in pairs if pair[1] is not None and pair[1] != pair[2]]
        if self.blocks is not None and not set(self.blocks) <= set(found.blocks):
            differences.append(("blocks", _listed(self.blocks), _listed(found.blocks)))
        return differences

    def _digests(self, found: FeatureSettings) -> list[Difference]:
        parts = (
            ("first_stage", "text") if self.z_and_text_only else ("first_stage", "text", "unet", "schedule")
        )
        return [
            (
                f"the LDM's {part}",
                _short(getattr(self.digests, part)),
                f"{_short(getattr(found.digests, part))} ({found.ldm})",
            )
            for part in parts
            if self.digests is not None and getattr(self.digests, part) != getattr(found.digests, part)
        ]

    def _geometry(self, found: FeatureSettings) -> list[Difference]:
        wanted = self.geometry
        return [
            (f"geometry.{name}", wanted and getattr(wanted, name), getattr(found.geometry, name))
            for name in ("kind", "size")
        ]

    def _policy(self, found: FeatureSettings) -> list[Difference]:
        wanted = self.policy
        if wanted is None:
            return []
        names = ["seed"] if self.z_and_text_only else ["seed", "timesteps"]
        pairs: list[Difference] = [
            (name, getattr(wanted, name), getattr(found.policy, name)) for name in names
        ]
        return [*pairs, ("template", wanted.template or "random", found.policy.template or "random")]


def _short(digest: str | None) -> str:
    return digest[:12] if digest else "none"


def _listed(blocks: Sequence[int]) -> str:
    return ",".join(map(str, blocks)) or "none"
