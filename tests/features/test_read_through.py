"""A copy of what was read from afar: fetched once, never trusted unread, never the end of the disk."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
import torch

from ldznet_cli.errors import CacheError, DiskFull, LdznetError
from ldznet_cli.features import CachedFeatures, FeatureItem, Store
from ldznet_cli.features.folder import Folder
from ldznet_cli.features.key import digest
from ldznet_cli.features.locate import place_of
from ldznet_cli.features.read_through import ReadThrough, copy_of
from ldznet_cli.features.store import file_of
from tests.features.conftest import World

KEY = {"kind": "z", "image": "ab" * 32}
Z = {"z": torch.arange(4 * 6 * 6, dtype=torch.float32).reshape(4, 6, 6)}


@pytest.fixture(autouse=True)
def room(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a disk half full: what is kept may not depend on that of the machine which runs the tests."""
    monkeypatch.setattr(Folder, "free_share", lambda self: 0.5)


@pytest.fixture
def origin() -> Store:
    store = Store(f"memory://{secrets.token_hex(4)}")
    store.write(KEY, Z, {"batch": 1})
    return store


def test_an_object_is_fetched_once(origin: Store, tmp_path: Path) -> None:
    through = ReadThrough(origin, tmp_path)
    assert torch.equal(through.read(KEY)["z"], Z["z"])
    file = file_of(digest(KEY))
    assert (tmp_path / file).read_bytes() == bytes(origin.place.read(file))
    origin.place.delete(file)
    assert torch.equal(through.read(KEY)["z"], Z["z"])


@pytest.mark.parametrize("damage", [b"", b"nonsense"])
def test_a_damaged_copy_is_fetched_anew(origin: Store, tmp_path: Path, damage: bytes) -> None:
    through, file = ReadThrough(origin, tmp_path), file_of(digest(KEY))
    through.read(KEY)
    (tmp_path / file).write_bytes(damage)
    assert torch.equal(through.read(KEY)["z"], Z["z"])
    assert (tmp_path / file).read_bytes() == bytes(origin.place.read(file))


def test_a_damaged_origin_is_refused_and_not_kept(origin: Store, tmp_path: Path) -> None:
    file = file_of(digest(KEY))
    origin.place.write(file, bytes(origin.place.read(file))[:-1])
    with pytest.raises(CacheError, match=f"{origin.place.shown(file)} is damaged"):
        ReadThrough(origin, tmp_path).read(KEY)
    assert not (tmp_path / file).exists()


def test_what_is_not_there_is_not_found(origin: Store, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ReadThrough(origin, tmp_path).read({**KEY, "image": "cd" * 32})


def test_the_copy_does_not_fill_its_disk(
    origin: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Folder, "free_share", lambda self: 0.04)
    assert torch.equal(ReadThrough(origin, tmp_path).read(KEY)["z"], Z["z"])
    assert list(tmp_path.iterdir()) == []


def test_features_far_away_are_those_nearby(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    url, items = f"memory://{secrets.token_hex(4)}/cache", [FeatureItem("lamp")]
    world.fill(tmp_path / "near", phrases=["lamp"], draws=1)
    far = place_of(url)
    for path in (tmp_path / "near").rglob("*"):
        if path.is_file():
            far.write(path.relative_to(tmp_path / "near").as_posix(), path.read_bytes())
    cached = CachedFeatures.open(url)
    [one] = cached.features(world.images[0], items)
    [other] = CachedFeatures.open(tmp_path / "near").features(world.images[0], items)
    assert torch.equal(one.z, other.z)
    assert all(torch.equal(one.blocks[index], other.blocks[index]) for index in other.blocks)
    assert len(list(Store(copy_of(url)).names())) == 3
    assert copy_of(url).is_relative_to(tmp_path / "user")


@pytest.mark.parametrize("error", [DiskFull("no space left"), LdznetError("cannot be written")])
def test_a_copy_that_takes_no_more_is_told_of_once_and_reading_goes_on(
    origin: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: LdznetError
) -> None:
    """A quota is used up long before the disk is."""
    told: list[str] = []
    written = []

    def full(self: Folder, name: str, data: bytes) -> None:
        written.append(name)
        raise error

    monkeypatch.setattr(Folder, "write", full)
    through = ReadThrough(origin, tmp_path, told.append)
    for _ in range(3):
        assert torch.equal(through.read(KEY)["z"], Z["z"])
    assert len(written) == 1
    assert told == [
        f"the local copy of {origin.place.shown()} grows no more, what is new is read from afar: {error}"
    ]
    assert torch.equal(ReadThrough(origin, tmp_path).read(KEY)["z"], Z["z"])
