"""The store: whole objects or none, whoever writes, whatever breaks."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest
import torch

from ldznet_cli.errors import CacheError, DiskFull
from ldznet_cli.features.key import digest
from ldznet_cli.features.store import Store, write_whole

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


def test_other_errors_of_the_system_are_left_as_they_are(store: Store) -> None:
    store.root.write_text("a file where the cache should be")
    with pytest.raises(OSError, match="Not a directory|File exists"):
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


def test_sweep_takes_away_what_dead_processes_left_and_nothing_else(store: Store, tmp_path: Path) -> None:
    store.write(KEY, Z, {})
    left = store.root / "objects" / "ab" / "left.safetensors"
    if (child := os.fork()) == 0:
        os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
        write_whole(left, b"half")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    [dead] = left.parent.glob(".*.tmp")
    living = dead.with_name(dead.name.replace(dead.name.split(".")[-3], str(os.getpid())))
    living.write_bytes(b"")
    elsewhere = dead.with_name(dead.name.replace(dead.name.split(".")[-4], "another-machine"))
    elsewhere.write_bytes(b"")
    foreign = store.root / ".notes.tmp"
    foreign.write_bytes(b"")
    assert store.sweep() == 1
    assert not dead.exists()
    assert living.exists()
    assert elsewhere.exists()
    assert foreign.exists()
    assert store.is_whole(digest(KEY))


def test_write_whole_makes_folders(tmp_path: Path) -> None:
    write_whole(tmp_path / "a" / "b.json", b"{}")
    assert (tmp_path / "a" / "b.json").read_bytes() == b"{}"
