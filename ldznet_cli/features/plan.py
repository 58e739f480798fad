"""What there is to do, and what it will cost, before any of it is done."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ldznet_cli.errors import DiskFull, ImageError
from ldznet_cli.features.key import FeatureSettings
from ldznet_cli.features.ledger import Count, Ledger
from ldznet_cli.features.overlap import READERS, loading_ahead
from ldznet_cli.features.shapes import grid_of
from ldznet_cli.features.shard import WHOLE, Shard
from ldznet_cli.features.source import FeatureItem
from ldznet_cli.features.store import Store
from ldznet_cli.features.unit import Unit, unit_of
from ldznet_cli.ldm.frozen import FrozenLDM
from ldznet_cli.samples.images import ImageRef, image_size, sha256_of
from ldznet_cli.samples.view import View, ViewPolicy

_AHEAD = 64  # images
_TOKENISED = 1_000  # prompts at a time


@dataclass(frozen=True)
class Failure:
    """An image that was left out, and why, in one line."""

    image: ImageRef
    error: str


@dataclass(frozen=True)
class Plan:
    """`todo` are the units of which something is missing, `prompts` those whose text states are; `counts` by kind.

    `items` is what the manifest will list: for each image, by the SHA-256 of its bytes, its phrases. `free_bytes` is
    None where nobody says how much room there is. `seen` are the views among them, by their image's SHA-256.
    """

    settings: FeatureSettings
    draws: int
    items: Mapping[str, tuple[str, ...]]
    todo: tuple[Unit, ...]
    prompts: tuple[str, ...]
    counts: Mapping[str, Count]
    failures: tuple[Failure, ...]
    free_bytes: int | None
    shard: Shard = WHOLE
    views: ViewPolicy | None = None
    seen: Mapping[str, tuple[View, ...]] = field(default_factory=dict)

    @property
    def missing(self) -> int:
        """Objects to make."""
        return sum(count.missing for count in self.counts.values())

    @property
    def bytes_to_write(self) -> int:
        """What they will take on disk, about."""
        return sum(count.bytes_to_write for count in self.counts.values())

    def require_room(self) -> None:
        """Raises DiskFull when the disk cannot hold what is to be written."""
        if self.free_bytes is not None and self.bytes_to_write > self.free_bytes:
            needed, free = (f"{count / 1e9:.3g} GB" for count in (self.bytes_to_write, self.free_bytes))
            advice = "choose another --cache, fewer --blocks or --draws, or a smaller --storage-dtype"
            raise DiskFull(f"the cache needs {needed} more and the disk has {free} free: {advice}")

    def to_json(self) -> dict[str, Any]:
        """The numbers, for programs."""
        kinds = {
            kind: {
                "needed": c.needed,
                "present": c.present,
                "missing": c.missing,
                "bytes_to_write": c.bytes_to_write,
            }
            for kind, c in self.counts.items()
        }
        return {
            "images": len(self.items),
            "draws": self.draws,
            "objects": kinds,
            "bytes_to_write": self.bytes_to_write,
            "free_bytes": self.free_bytes,
            "failed": [
                {"image": str(failure.image.path), "error": failure.error} for failure in self.failures
            ],
        }


def plan_cache(
    requests: Iterable[tuple[ImageRef, Sequence[str]]],
    settings: FeatureSettings,
    ldm: FrozenLDM,
    store: Store,
    *,
    draws: int = 1,
    shard: Shard = WHOLE,
    views: ViewPolicy | None = None,
) -> Plan:
    """What caching these phrases of these images will take. Reads every image file once, decodes none.

    Images of the same content are one image; an image named more than once has the phrases of all its mentions. With
    `shard` only its images with their views, and the text states of their prompts. `views` says how those among the
    requests were drawn that are views, for the manifest. Raises PromptError for an empty or too long phrase; an
    unreadable image is a Failure of the plan.
    """
    phrases, refs, grids, seen, failures = _by_content(requests, ldm, settings, shard)
    ledger = Ledger(settings, ldm, store)
    units = []
    for sha256, image in refs.items():
        items = [FeatureItem(phrase, draw) for phrase in phrases[sha256] for draw in range(draws)]
        units.append(unit_of(image, sha256, items, settings.policy))
    todo = tuple(unit for unit in units if ledger.enter(unit, grids[unit.sha256]))
    listed = {unit.sha256: tuple(sorted({r.item.phrase for r in unit.requests})) for unit in units}
    prompts = tuple(ledger.missing_prompts)
    _require_short(ldm, prompts)
    counts, free = ledger.counts, store.free_bytes()
    return Plan(settings, draws, listed, todo, prompts, counts, tuple(failures), free, shard, views, seen)


Contents = tuple[
    dict[str, list[str]],
    dict[str, ImageRef],
    dict[str, tuple[int, int]],
    dict[str, tuple[View, ...]],
    list[Failure],
]


def _by_content(
    requests: Iterable[tuple[ImageRef, Sequence[str]]],
    ldm: FrozenLDM,
    settings: FeatureSettings,
    shard: Shard,
) -> Contents:
    """By identity: phrases, the first image of that content, its grid; by SHA-256: views; and what cannot be read."""
    phrases: dict[str, list[str]] = {}
    refs: dict[str, ImageRef] = {}
    grids: dict[str, tuple[int, int]] = {}
    seen: dict[str, set[View]] = {}
    failures = []
    asked: dict[ImageRef, list[str]] = {}
    for image, more in requests:
        asked.setdefault(image, []).extend(more)
    files = dict.fromkeys(image.path for image in asked)  # of many views perhaps
    with ThreadPoolExecutor(READERS) as readers:
        loaded = loading_ahead(readers, _identify, files, _AHEAD)
        found = {path: finding.result() for path, finding in zip(files, loaded, strict=True)}
    for image, more in asked.items():
        sha256, size = found[image.path]
        identity = image.view.identity(sha256)
        # Of the image, so that its views need not be drawn to know whose they are.
        if not shard.holds(sha256):
            continue
        if isinstance(size, str):
            failures.append(Failure(image, size))
            continue
        refs.setdefault(identity, image)
        grids.setdefault(identity, grid_of(ldm, settings.geometry, *image.view.size(*size)))
        phrases.setdefault(identity, []).extend(more)
        if identity != sha256:
            seen.setdefault(sha256, set()).add(image.view)
    ordered = {sha256: tuple(sorted(views)) for sha256, views in sorted(seen.items())}
    return phrases, refs, grids, ordered, failures


def _identify(path: Path) -> tuple[str, tuple[int, int] | str]:
    """(SHA-256, (width, height) or why it has none); the SHA-256 of a file that is not there is its path's."""
    sha256 = hashlib.sha256(os.fsencode(path)).hexdigest()
    try:
        sha256 = sha256_of(path)
        return sha256, image_size(path)
    except ImageError as error:
        return sha256, str(error)


def _require_short(ldm: FrozenLDM, prompts: Sequence[str]) -> None:
    """Raises PromptError for the first prompt that the text encoder does not take, before anything is computed."""
    for start in range(0, len(prompts), _TOKENISED):
        if ldm.text_encoder is not None:
            ldm.text_encoder.tokens(prompts[start : start + _TOKENISED])
