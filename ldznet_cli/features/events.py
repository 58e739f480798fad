"""What a run over a cache tells whoever started it, and the list of what failed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ldznet_cli.features.plan import Failure
from ldznet_cli.features.store import write_whole
from ldznet_cli.features.unit import Unit

FAILED = "failed.jsonl"


@dataclass(frozen=True)
class TextDone:
    """The text states of one prompt are in the cache."""

    prompt: str
    bytes: int


@dataclass(frozen=True)
class UnitDone:
    """All of one image is in the cache; `objects` and `bytes` are what had to be written for it."""

    unit: Unit
    objects: int
    bytes: int


@dataclass(frozen=True)
class UnitFailed:
    """An image that could not be read. The others are not held up."""

    failure: Failure


@dataclass(frozen=True)
class RunDone:
    """The end: `waited` seconds of `seconds` the model stood still for input or for the disk.

    `manifest` is None when no image could be read.
    """

    manifest: Path | None
    failures: tuple[Failure, ...]
    objects: int
    bytes: int
    seconds: float
    waited: float


CacheEvent = TextDone | UnitDone | UnitFailed | RunDone


def write_failures(cache: Path, failures: Sequence[Failure]) -> None:
    """`failed.jsonl`: one JSON object a line with `image` (path), `name`, `error`. No file where nothing failed."""
    path = cache / FAILED
    if not failures:
        path.unlink(missing_ok=True)
        return
    lines = [{"image": str(f.image.path), "name": f.image.name, "error": f.error} for f in failures]
    write_whole(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode())
