"""What a finished run put into a cache: `manifests/<digest>.json`, written last.

A manifest holds no name, path or time, so that the same work gives the same file wherever and whenever it is done:

    format        "ldznet.cache/1"
    settings      everything that decides the values (features/key.py: FeatureSettings)
    draws         how many draws each phrase has: 0 … draws - 1
    items         for each image, by the SHA-256 of its bytes, and for each view of one, by its identity: its phrases
    views         how views were drawn (samples/view.py: ViewPolicy); not there where images were cached whole alone
    seen          beside `views`: for each image, by its SHA-256, its views: [x, y, side, mirrored]; [mirrored] of all
    arithmetic    batch, threads and processor of the run that wrote the manifest; where that only gathered what others
                  had made, such as shards, of the newest of these
    versions      of this package and of what computes

Its file name is the digest of settings, draws and items alone: who did the work does not matter.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ldznet_cli.errors import CacheError, UsageError
from ldznet_cli.features.key import FeatureSettings, Key, digest
from ldznet_cli.features.locate import place_of
from ldznet_cli.features.place import Entry, Place
from ldznet_cli.features.source import FeatureItem
from ldznet_cli.features.unit import Unit, unit_of
from ldznet_cli.ldm.digests import LdmDigests
from ldznet_cli.ldm.noise import DrawPolicy
from ldznet_cli.samples.geometry import Geometry
from ldznet_cli.samples.listing import ImageRef
from ldznet_cli.samples.view import View, ViewPolicy

FORMAT = "ldznet.cache/1"
FOLDER = "manifests"
_ABOUT = ("arithmetic", "versions")


@dataclass(frozen=True)
class Manifest:
    """`items` maps an image's SHA-256 to its phrases, both sorted; `about` is what does not decide the name."""

    settings: FeatureSettings
    draws: int
    items: Mapping[str, Sequence[str]]
    about: Mapping[str, Any] = field(default_factory=dict)
    views: ViewPolicy | None = None
    seen: Mapping[str, Sequence[View]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The digest of what the run was asked for."""
        return digest(self._asked())

    @property
    def kind(self) -> Hashable:
        """What runs have in common that go together, such as shards."""
        return self.settings.counted, self.draws, self.views

    @property
    def file(self) -> str:
        """Where it lies in its cache, or would lie."""
        return f"{FOLDER}/{self.name}.json"

    def is_in(self, cache: Path | str | Place) -> bool:
        """Whether it is there already, written by whomever."""
        try:
            return place_of(cache).size(self.file) > 0
        except FileNotFoundError:
            return False

    def write(self, cache: Path | str | Place) -> str:
        """Write it into `cache`, unless it is there; returns where that is."""
        place = place_of(cache)
        if not self.is_in(place):
            text = json.dumps({"format": FORMAT, **self._asked(), **self.about}, indent=1, sort_keys=True)
            place.write(self.file, (text + "\n").encode())
        return place.shown(self.file)

    def unit(self, sha256: str, image: ImageRef | None = None) -> Unit:
        """All that the run asked about one of its images; where its file lies is nowhere written."""
        items = [FeatureItem(phrase, draw) for phrase in self.items[sha256] for draw in range(self.draws)]
        return unit_of(image or ImageRef(Path(), ""), sha256, items, self.settings.policy)

    def all_keys(self) -> Iterator[Key]:
        """The key of every object that it names; those of prompts come as often as prompts are asked."""
        for sha256 in self.items:
            yield self.settings.z_key(sha256)
            for request in self.unit(sha256).requests:
                yield self.settings.text_key(request.prompt)
                if self.settings.blocks:
                    yield self.settings.features_key(sha256, request.prompt, request.draw)

    def refs(self, images: Mapping[str, ImageRef]) -> dict[str, ImageRef]:
        """These images, by their SHA-256, and the run's views of them by identity: what `items` are about."""
        views = {
            view.identity(sha256): replace(image, view=view)
            for sha256, image in images.items()
            for view in self.seen.get(sha256, ())
        }
        return {**images, **views}

    def _asked(self) -> dict[str, Any]:
        items = {image: list(phrases) for image, phrases in self.items.items()}
        seen = {image: [[*view.box, int(view.flip)] for view in views] for image, views in self.seen.items()}
        views = {"views": asdict(self.views), "seen": seen} if self.views else {}
        return {"settings": to_json(self.settings), "draws": self.draws, "items": items, **views}


def to_json(settings: FeatureSettings) -> dict[str, Any]:
    """Settings as JSON values."""
    policy = {**asdict(settings.policy), "timesteps": list(settings.policy.timesteps)}
    return {**asdict(settings), "policy": policy, "blocks": list(settings.blocks)}


def from_json(value: Mapping[str, Any]) -> FeatureSettings:
    """The inverse of `to_json`. Raises KeyError, TypeError or ValueError for anything else."""
    policy = DrawPolicy(**{**value["policy"], "timesteps": tuple(value["policy"]["timesteps"])})
    parts = {"digests": LdmDigests(**value["digests"]), "geometry": Geometry(**value["geometry"])}
    return FeatureSettings(**{**value, **parts, "policy": policy, "blocks": tuple(value["blocks"])})


def manifest_files(cache: Path | str | Place) -> list[Entry]:
    """The files of a cache's manifests, the newest first."""
    entries = [entry for entry in place_of(cache).entries(FOLDER) if entry.name.endswith(".json")]
    return sorted(entries, key=lambda entry: (entry.modified, entry.name), reverse=True)


def read_manifests(cache: Path | str | Place) -> list[Manifest]:
    """The manifests of a cache, the newest first.

    Raises CacheError when there is none, or one cannot be read.
    """
    place = place_of(cache)
    files = manifest_files(place)
    if not files:
        what = "holds no finished run" if place.exists() else "is not there"
        shown = place.shown()
        raise CacheError(
            f"the cache {shown} {what}; `ldznet cache-features … --cache {shown}` makes or finishes it"
        )
    return [read_manifest(place, entry.name) for entry in files]


def joined(manifest: Manifest, others: Iterable[Manifest]) -> Manifest:
    """A run together with all that were made with its settings, draws and views, such as the other shards."""
    items: dict[str, set[str]] = {}
    seen: dict[str, set[View]] = {}
    for other in others:
        if other.kind == manifest.kind:
            for image, phrases in other.items.items():
                items.setdefault(image, set()).update(phrases)
            for image, views in other.seen.items():
                seen.setdefault(image, set()).update(views)
    return replace(
        manifest,
        items={image: sorted(phrases) for image, phrases in sorted(items.items())},
        seen={image: sorted(views) for image, views in sorted(seen.items())},
    )


def read_manifest(place: Place, file: str) -> Manifest:
    """One of them. Raises CacheError when it cannot be read."""
    try:
        value = json.loads(bytes(place.read(file)).decode("utf-8"))
        if value["format"] != FORMAT:
            raise ValueError(f"it is a {value['format']}, not a {FORMAT}")
        about = {name: value[name] for name in _ABOUT if name in value}
        views = ViewPolicy(**value["views"]) if "views" in value else None
        seen = {
            image: [View(tuple(box), bool(flip)) for *box, flip in own]
            for image, own in value.get("seen", {}).items()
        }
        found = Manifest(from_json(value["settings"]), value["draws"], value["items"], about, views, seen)
        if found.file != file:
            raise ValueError("it has changed since it was written")
    except (UsageError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        advice = "delete it and run `ldznet cache-features` again, which makes nothing twice"
        raise CacheError(f"the manifest {place.shown(file)} cannot be read ({error}); {advice}") from error
    return found
