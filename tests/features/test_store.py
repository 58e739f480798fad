"""The store: whole objects or none, whoever writes, whatever breaks."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest
import torch

from ldznet_cli.errors import CacheError, DiskFull, LdznetError
from ldznet_cli.features.key import digest
from ldznet_cli.features.store import Store, file_of
from tests.faults.scene import ended, forked

KEY = {"kind": "z", "image": "ab" * 32}
Z = {"z": torch.arange(4 * 6 * 6, dtype=torch.float32).reshape(4, 6, 6)}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def test_nothing_is_created_before_the_first_write(store: Store) -> None:
    assert not store.is_whole(digest(KEY))
    assert list(store.names()) == []
    assert store.free_bytes() > 0
    assert store.sweep() == 0
    assert not store.root.exists()


def test_written_objects_are_read_back(store: Store) -> None:
    size = store.write(KEY, Z, {"batch": 1})
    path = store.path_of(digest(KEY))
    assert path == store.root / "objects" / digest(KEY)[:2] / f"{digest(KEY)}.safetensors"
    assert path.stat().st_size == size
    assert torch.equal(store.read(KEY).tensors["z"], Z["z"])
    assert store.is_whole(digest(KEY))
    assert list(store.names()) == [digest(KEY)]
    assert [file for file in store.root.rglob("*") if file.is_file()] == [path]


def test_what_is_not_there_is_not_found(store: Store) -> None:
    with pytest.raises(FileNotFoundError):
        store.read(KEY)


@pytest.mark.parametrize("damage", ["truncated", "zero", "flipped", "longer", "replaced"])
def test_a_damaged_object_is_refused_by_name(store: Store, damage: str) -> None:
    store.write(KEY, Z, {})
    path = store.path_of(digest(KEY))
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[-7] ^= 4
    if damage == "replaced":
        other = Store(store.root / "other")
        other.write({**KEY, "image": "cd" * 32}, Z, {})
        data = bytearray(other.path_of(digest({**KEY, "image": "cd" * 32})).read_bytes())
    path.write_bytes({"truncated": data[:-1], "zero": b"", "longer": data + b"x"}.get(damage, data))
    with pytest.raises(CacheError, match=str(path)):
        store.read(KEY)
    assert store.is_whole(digest(KEY)) == (damage in ("flipped", "replaced"))


@pytest.mark.parametrize("full", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_and_leaves_nothing_half(
    store: Store, monkeypatch: pytest.MonkeyPatch, full: int
) -> None:
    def no_room(_: int) -> None:
        raise OSError(full, os.strerror(full))

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(DiskFull, match="no space left to write .*make room and run the same command again"):
        store.write(KEY, Z, {})
    assert [file for file in store.root.rglob("*") if file.is_file()] == []


def test_a_file_where_the_cache_should_be(store: Store) -> None:
    store.root.write_text("a file where the cache should be")
    with pytest.raises(LdznetError, match="cannot be written"):
        store.write(KEY, Z, {})


def test_an_object_is_replaced_in_one_step(store: Store) -> None:
    store.write(KEY, Z, {"batch": 1})
    path = store.path_of(digest(KEY))
    with path.open("rb") as reading:
        store.write(KEY, Z, {"batch": 2})
        assert b'"batch\\":1' in reading.read()
    assert store.read(KEY).made == {"batch": 2}


def test_files_are_as_readable_as_the_user_s_others(store: Store) -> None:
    before = os.umask(0o022)
    try:
        store.write(KEY, Z, {})
    finally:
        os.umask(before)
    assert store.path_of(digest(KEY)).stat().st_mode & 0o777 == 0o644


def test_sweep_takes_away_what_a_killed_writer_left(store: Store) -> None:
    def killed() -> None:
        os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
        store.write(KEY, Z, {})

    assert ended(forked(killed)) == -signal.SIGKILL
    assert len([file for file in store.root.rglob("*") if file.is_file()]) == 1
    assert list(store.names()) == []
    assert store.sweep() == 1
    assert [file for file in store.root.rglob("*") if file.is_file()] == []


def test_an_object_under_another_s_name_says_which_field_differs(store: Store) -> None:
    other = {**KEY, "image": "cd" * 32}
    store.write(KEY, Z, {})
    store.write(other, Z, {})
    store.path_of(digest(KEY)).write_bytes(store.path_of(digest(other)).read_bytes())
    with pytest.raises(CacheError, match=f"its image is '{'cd' * 32}', expected '{'ab' * 32}'"):
        store.read(KEY)


@pytest.mark.parametrize("where", ["folder", "memory"])
def test_what_is_present_is_known_for_many_at_once(tmp_path: Path, where: str) -> None:
    store = Store(tmp_path if where == "folder" else f"memory://{tmp_path}")
    other = {**KEY, "image": "cd" * 32}
    store.write(KEY, Z, {})
    store.place.write(file_of(digest(other)), b"")
    store.place.write("objects/ab/notes.txt", b"not an object")
    is_there = store.present()
    assert (is_there(digest(KEY)), is_there(digest(other)), is_there("ee" * 32)) == (True, False, False)
    assert (store.is_whole(digest(KEY)), store.is_whole(digest(other))) == (True, False)
    assert set(store.names()) == {digest(KEY), digest(other)}
    assert (store.kind_of(digest(KEY)), store.kind_of(digest(other))) == ("z", "damaged")
