"""What lies in a cache, against what its manifests name."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from ldznet_cli.errors import CacheError
from ldznet_cli.features.key import Key, digest
from ldznet_cli.features.ledger import KINDS
from ldznet_cli.features.manifest import Manifest, manifest_files, read_manifest, to_json
from ldznet_cli.features.place import Entry
from ldznet_cli.features.store import Store


@dataclass(frozen=True)
class Run:
    """A finished run: its manifest, the file of that, and the digests of all objects that it names."""

    manifest: Manifest
    entry: Entry
    names: frozenset[str]


class Census:
    """One look at a store. `objects` are its files by digest, `runs` the finished runs, the newest first.

    `broken` says of each manifest that cannot be read why; nothing is known of what such a run named.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.kinds: dict[str, str] = {}
        """Of every object that a run names, there or not."""
        self.runs: list[Run] = []
        self.broken: list[str] = []
        # The listing before the manifests: what a run that ends in between has made is then not taken for nobody's.
        self.objects = dict(store.entries())
        for entry in manifest_files(store.place):
            self._read(entry)

    @property
    def missing(self) -> list[str]:
        """Objects that a run names and that are not there, in order."""
        return sorted(self.kinds.keys() - self.objects.keys())

    @property
    def unlisted(self) -> list[str]:
        """Objects that are there and that no run names, in order."""
        return [name for name in self.objects if name not in self.kinds]

    def key_of(self, name: str) -> Key | None:
        """The key of an object that a run names; None for any other."""
        keys = (key for run in self.runs if name in run.names for key in run.manifest.all_keys())
        return next((key for key in keys if digest(key) == name), None)

    def _read(self, entry: Entry) -> None:
        try:
            manifest = read_manifest(self.store.place, entry.name)
        except CacheError as error:
            self.broken.append(str(error))
            return
        kinds = {digest(key): str(key["kind"]) for key in manifest.all_keys()}
        self.kinds |= kinds
        self.runs.append(Run(manifest, entry, frozenset(kinds)))


def describe(store: Store, now: float | None = None) -> dict[str, Any]:
    """What `ldznet cache info` tells, as JSON values; ages in seconds. Raises CacheError when there is no cache.

    The kind of what no manifest names is read out of each object's own header.
    """
    if not store.place.exists():
        raise CacheError(f"the cache {store.place.shown()} is not there")
    census, now = Census(store), time.time() if now is None else now
    count, size = Counter[str](), Counter[str]()
    for name, entry in census.objects.items():
        kind = census.kinds.get(name) or store.kind_of(name)
        count[kind] += 1
        size[kind] += entry.bytes
    kinds = [*KINDS, *sorted(count.keys() - set(KINDS))]
    unlisted = [census.objects[name].bytes for name in census.unlisted]
    written = [entry.modified for entry in census.objects.values()]
    return {
        "cache": store.place.shown(),
        "objects": {kind: {"count": count[kind], "bytes": size[kind]} for kind in kinds},
        "in_no_manifest": {"count": len(unlisted), "bytes": sum(unlisted)},
        "oldest": round(now - min(written)) if written else None,
        "newest": round(now - max(written)) if written else None,
        "runs": [_run(census, run, now) for run in census.runs],
        "unreadable_manifests": census.broken,
    }


def _run(census: Census, run: Run, now: float) -> dict[str, Any]:
    there = [census.objects[name].bytes for name in run.names if name in census.objects]
    return {
        "manifest": run.manifest.name,
        "age": round(now - run.entry.modified),
        "images": len(run.manifest.items),
        "phrases": sum(map(len, run.manifest.items.values())),
        "draws": run.manifest.draws,
        "objects": len(run.names),
        "missing": len(run.names) - len(there),
        "bytes": sum(there),
        "settings": to_json(run.manifest.settings),
        **run.manifest.about,
    }
