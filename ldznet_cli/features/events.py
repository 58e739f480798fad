"""What a run over a cache tells whoever started it, and the list of what failed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ldznet_cli.errors import CacheError, NothingToDo
from ldznet_cli.features.locate import place_of
from ldznet_cli.features.place import Place
from ldznet_cli.features.plan import Failure
from ldznet_cli.features.shard import WHOLE, Shard
from ldznet_cli.features.unit import Unit

FAILED = "failed.jsonl"


@dataclass(frozen=True)
class TextDone:
    """The text states of a few prompts are in the cache; `objects` and `bytes` are what had to be written for them."""

    prompts: tuple[str, ...]
    objects: int
    bytes: int


@dataclass(frozen=True)
class UnitDone:
    """All of one image is in the cache; `objects` and `bytes` are what had to be written for it.

    `reduced` is the rows of a batch from here on, where memory ran out with as many as were asked for.
    """

    unit: Unit
    objects: int
    bytes: int
    reduced: int | None = None


@dataclass(frozen=True)
class UnitFailed:
    """An image that could not be read, or of which a value could not be stored. The others are not held up."""

    failure: Failure


@dataclass(frozen=True)
class RunDone:
    """The end: `waited` seconds of `seconds` the model stood still for input or for the disk.

    `manifest` is where the manifest lies, None when no image could be cached.
    """

    manifest: str | None
    failures: tuple[Failure, ...]
    objects: int
    bytes: int
    seconds: float
    waited: float


CacheEvent = TextDone | UnitDone | UnitFailed | RunDone


def write_failures(cache: Path | str | Place, failures: Sequence[Failure], shard: Shard = WHOLE) -> None:
    """`failed.jsonl`: one JSON object a line with `image` (path), `name`, `error`. No file where nothing failed.

    ASCII: a name may hold bytes that are no UTF-8, or what some readers take for the end of a line.
    """
    place, file = place_of(cache), shard.of(FAILED)
    if not failures:
        place.delete(file)
        return
    lines = [{"image": str(f.image.path), "name": f.image.name, "error": f.error} for f in failures]
    place.write(file, "".join(json.dumps(line) + "\n" for line in lines).encode("ascii"))


def read_failures(cache: Path | str | Place, shard: Shard = WHOLE) -> frozenset[Path]:
    """The images that the last run over `cache` (or over this shard of it) left out.

    Raises NothingToDo when there is none, CacheError for a list that cannot be read.
    """
    place, file = place_of(cache), shard.of(FAILED)
    try:
        lines = bytes(place.read(file)).decode().split("\n")
        return frozenset(Path(json.loads(line)["image"]) for line in lines if line)
    except FileNotFoundError:
        raise NothingToDo(f"nothing has failed in {place.shown()}: there is no {file}") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        advice = "delete it and run without --retry-failed"
        raise CacheError(f"{place.shown(file)} is not a list of failures ({error}); {advice}") from error
