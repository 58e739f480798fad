"""Is every object of a cache what it should be? Each is read in full; those that a manifest names have to be there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ldznet_cli.errors import CacheError, CacheUnreachable
from ldznet_cli.features import objects
from ldznet_cli.features.census import Census
from ldznet_cli.features.key import Key, digest, named_differences
from ldznet_cli.features.objects import CachedObject
from ldznet_cli.features.overlap import loading_ahead
from ldznet_cli.features.storage import DTYPES, SCALE
from ldznet_cli.features.store import Store, file_of

_READERS = 4
_AHEAD = 16  # objects
_RANKS = {"z": 3, "text": 2, "features": 3}


@dataclass(frozen=True)
class Checked:
    """One object that was looked at; `fault` is what is wrong with it, None when nothing is.

    `state` is "missing" for one that a manifest names and that is not there.
    """

    name: str
    path: str
    kind: str
    state: Literal["whole", "damaged", "missing"]
    fault: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {"object": self.path, "kind": self.kind, "state": self.state, "fault": self.fault}


def verify(census: Census) -> Iterator[Checked]:
    """Every object that is there, in order, then every one that is missing.

    Raises CacheUnreachable when the cache cannot be reached: nothing is known then of what was not read.
    """
    store = census.store
    with ThreadPoolExecutor(_READERS) as readers:
        for checking in loading_ahead(readers, lambda name: check(census, name), census.objects, _AHEAD):
            yield checking.result()
    for name in census.missing:
        if not store.is_whole(name):  # it may have come since the census
            fault = "it is not there, and a manifest names it"
            yield Checked(name, store.place.shown(file_of(name)), census.kinds[name], "missing", fault)


def check(census: Census, name: str) -> Checked:
    """Read one object that is there: its checksum, whether it is what its name says, shapes and values.

    Raises CacheUnreachable: an object that cannot be fetched may be whole.
    """
    store, kind = census.store, census.kinds.get(name, "in no manifest")
    path = store.place.shown(file_of(name))
    try:
        _require_good(store, name, census.key_of)
    except FileNotFoundError:
        return Checked(name, path, kind, "missing", "it has been deleted since it was listed")
    except CacheUnreachable:
        raise
    except (CacheError, ValueError) as error:
        return Checked(name, path, kind, "damaged", str(error))
    return Checked(name, path, kind, "whole")


def is_damaged(store: Store, name: str) -> bool:
    """Whether an object is there and is damaged, looked at anew. Raises CacheUnreachable where nobody can say."""
    try:
        _require_good(store, name, lambda _: None)
    except CacheUnreachable:
        raise
    except FileNotFoundError:
        return False
    except (CacheError, ValueError):
        return True
    return False


def _require_good(store: Store, name: str, key_of: Callable[[str], Key | None]) -> None:
    """Raises FileNotFoundError, ValueError for whatever is wrong with an object, CacheError where its disk has lost it
    (as CacheUnreachable, where it cannot be reached). `key_of` may know which key a name stands for."""
    data = store.place.read(file_of(name))
    if not data:
        raise ValueError("it is empty")
    found = objects.from_bytes(data)
    if digest(found.key) != name:
        expected = key_of(name)
        differs = f": {named_differences(expected, found.key)}" if expected else ""
        raise ValueError(f"it is another object than its name says{differs}")
    _require_form(found)


def _require_form(found: CachedObject) -> None:
    """Names, types and shapes as the key has them, and finite values. Raises ValueError."""
    kind, tensors = found.key["kind"], found.tensors
    names = {str(block) for block in found.key["blocks"]} if kind == "features" else {kind}
    storage = found.key["storage"]
    expected = names | ({name + SCALE for name in names} if storage == "int8" else set())
    if tensors.keys() != expected:
        raise ValueError(f"it holds {sorted(tensors)}, expected {sorted(expected)}")
    for name in names:
        value = tensors[name]
        if value.dtype != DTYPES[storage] or value.ndim != _RANKS[kind] or 0 in value.shape:
            raise ValueError(
                f"its tensor {name} is {_form(value)}, expected {storage} with {_RANKS[kind]} sides"
            )
        if storage == "int8" and tuple(tensors[name + SCALE].shape) != (value.shape[0], 1, 1):
            raise ValueError(
                f"its tensor {name + SCALE} is {_form(tensors[name + SCALE])}, expected one a channel"
            )
    if kind == "z" and tensors["z"].shape[0] != 4:
        raise ValueError(f"its tensor z is {_form(tensors['z'])}, expected 4 channels")
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise ValueError(f"its tensor {name} is not finite")


def _form(value: Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
