"""Counting the objects that a run needs, those that are there, and the bytes that the others will take."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ldznet_cli.features.key import FeatureSettings, Key, canonical, digest
from ldznet_cli.features.shapes import block_shapes, text_shape
from ldznet_cli.features.storage import bytes_of
from ldznet_cli.features.store import Store
from ldznet_cli.features.unit import Unit
from ldznet_cli.ldm.frozen import FrozenLDM

KINDS = ("z", "text", "features")
_HEADER, _ENTRY = 250, 67  # bytes of an object's header beside its key, and for each tensor; about
_SECTOR = 4_096  # bytes; files take whole ones


@dataclass(frozen=True)
class Count:
    """Objects of one kind: all that are needed, those already there, and the bytes that the others will take."""

    needed: int = 0
    present: int = 0
    bytes_to_write: int = 0

    @property
    def missing(self) -> int:
        """How many have to be made."""
        return self.needed - self.present


class Ledger:
    """`enter` every unit once; `counts` then holds the sums, `missing_prompts` the prompts whose text is not there."""

    def __init__(self, settings: FeatureSettings, ldm: FrozenLDM, store: Store) -> None:
        self.settings, self.ldm = settings, ldm
        self._present = store.present()
        self.missing_prompts: list[str] = []
        self._prompts: set[str] = set()
        self._needed = dict.fromkeys(KINDS, 0)
        self._missing = dict.fromkeys(KINDS, 0)
        self._bytes = dict.fromkeys(KINDS, 0)

    def enter(self, unit: Unit, grid: tuple[int, int]) -> bool:
        """Count a unit's objects; returns whether z or a feature is missing (text states are no unit's own).

        `grid` is z's (h, w). Raises ModelError for phrases where the LDM has no text encoder.
        """
        missing = self._count(
            "z", self.settings.z_key(unit.sha256), bytes_of((4, *grid), self.settings.compute)
        )
        for request in unit.requests:
            self._enter_prompt(request.prompt)
        return self._enter_features(unit, grid) or missing

    @property
    def counts(self) -> dict[str, Count]:
        """What was counted, by kind."""
        return {
            kind: Count(self._needed[kind], self._needed[kind] - self._missing[kind], self._bytes[kind])
            for kind in KINDS
        }

    def _enter_features(self, unit: Unit, grid: tuple[int, int]) -> bool:
        settings = self.settings
        if not settings.blocks:
            return False
        size = sum(bytes_of(shape, settings.storage) for shape in block_shapes(self.ldm, grid).values())
        tensors = len(settings.blocks) * (2 if settings.storage == "int8" else 1)
        keys = [settings.features_key(unit.sha256, request.prompt, request.draw) for request in unit.requests]
        missing = [self._count("features", key, size, tensors) for key in keys]
        return any(missing)

    def _enter_prompt(self, prompt: str) -> None:
        if prompt in self._prompts:
            return
        self._prompts.add(prompt)
        size = bytes_of(text_shape(self.ldm), self.settings.compute)
        if self._count("text", self.settings.text_key(prompt), size):
            self.missing_prompts.append(prompt)

    def _count(self, kind: str, key: Key, size: int, tensors: int = 1) -> bool:
        self._needed[kind] += 1
        if self._present(digest(key)):
            return False
        self._missing[kind] += 1
        header = _HEADER + len(json.dumps(canonical(key))) + _ENTRY * tensors
        self._bytes[kind] += -(-(size + header) // _SECTOR) * _SECTOR
        return True
