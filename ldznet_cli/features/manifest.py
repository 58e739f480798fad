"""What a finished run put into a cache: `manifests/<digest>.json`, written last.

A manifest holds no name, path or time, so that the same work gives the same file wherever and whenever it is done:

    format        "ldznet.cache/1"
    settings      everything that decides the values (features/key.py: FeatureSettings)
    draws         how many draws each phrase has: 0 … draws - 1
    items         for each image, by the SHA-256 of its bytes: its phrases
    objects       how many objects those need
    arithmetic    batch, threads and processor of the run that wrote the manifest
    versions      of this package and of what computes

Its file name is the digest of settings, draws and items alone: who did the work does not matter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ldznet_cli.errors import CacheError
from ldznet_cli.features.key import FeatureSettings, digest
from ldznet_cli.features.store import write_whole
from ldznet_cli.ldm.digests import LdmDigests
from ldznet_cli.ldm.noise import DrawPolicy
from ldznet_cli.samples.images import Geometry

FORMAT = "ldznet.cache/1"
FOLDER = "manifests"


@dataclass(frozen=True)
class Manifest:
    """`items` maps an image's SHA-256 to its phrases, both sorted; `about` is what does not decide the name."""

    settings: FeatureSettings
    draws: int
    items: Mapping[str, Sequence[str]]
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The digest of what the run was asked for."""
        return digest(self._asked())

    def path(self, cache: Path) -> Path:
        """Where it lies in `cache`, or would lie."""
        return cache / FOLDER / f"{self.name}.json"

    def write(self, cache: Path) -> Path:
        """Write it into `cache`, unless it is there."""
        path = self.path(cache)
        if not path.exists():
            text = json.dumps({"format": FORMAT, **self._asked(), **self.about}, indent=1, sort_keys=True)
            write_whole(path, (text + "\n").encode())
        return path

    def _asked(self) -> dict[str, Any]:
        items = {image: list(phrases) for image, phrases in self.items.items()}
        return {"settings": to_json(self.settings), "draws": self.draws, "items": items}


def to_json(settings: FeatureSettings) -> dict[str, Any]:
    """Settings as JSON values."""
    policy = {**asdict(settings.policy), "timesteps": list(settings.policy.timesteps)}
    return {**asdict(settings), "policy": policy, "blocks": list(settings.blocks)}


def from_json(value: Mapping[str, Any]) -> FeatureSettings:
    """The inverse of `to_json`. Raises KeyError, TypeError or ValueError for anything else."""
    policy = DrawPolicy(**{**value["policy"], "timesteps": tuple(value["policy"]["timesteps"])})
    parts = {"digests": LdmDigests(**value["digests"]), "geometry": Geometry(**value["geometry"])}
    return FeatureSettings(**{**value, **parts, "policy": policy, "blocks": tuple(value["blocks"])})


def read_manifests(cache: Path) -> list[Manifest]:
    """The manifests of a cache, the newest first.

    Raises CacheError when there is none, or one cannot be read.
    """
    dated = sorted(
        ((path.stat().st_mtime, path.name, path) for path in (cache / FOLDER).glob("*.json")), reverse=True
    )
    if not dated:
        what = "holds no finished run" if cache.is_dir() else "is not there"
        raise CacheError(
            f"the cache {cache} {what}; `ldznet cache-features … --cache {cache}` makes or finishes it"
        )
    return [_read(path) for _, _, path in dated]


def _read(path: Path) -> Manifest:
    try:
        value = json.loads(path.read_text("utf-8"))
        if value["format"] != FORMAT:
            raise ValueError(f"it is a {value['format']}, not a {FORMAT}")
        found = Manifest(from_json(value["settings"]), value["draws"], value["items"])
        if found.name != path.stem:
            raise ValueError("it has changed since it was written")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        advice = "delete it and run `ldznet cache-features` again, which makes nothing twice"
        raise CacheError(f"the manifest {path} cannot be read ({error}); {advice}") from error
    return found
