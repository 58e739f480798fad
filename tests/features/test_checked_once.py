"""Objects that are read again and again: checked at first, and whenever their file is another one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from ldznet_cli.errors import CacheError
from ldznet_cli.features import Store, objects
from ldznet_cli.features.checked_once import CheckedOnce
from ldznet_cli.features.folder import Folder
from ldznet_cli.features.key import digest

KEY = {"kind": "features", "image": "ab" * 32, "storage": "int8"}
TENSORS = {
    "5": torch.arange(-12, 12, dtype=torch.int8).reshape(2, 3, 4),
    "5.scale": torch.tensor([[[0.5]], [[2.0]]]),
    "6": torch.arange(6, dtype=torch.float16).reshape(1, 2, 3),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    store = Store(tmp_path)
    store.write(KEY, TENSORS, {"batch": 1})
    return store.path_of(digest(KEY))


def test_the_tensors_are_those_of_the_store_every_time(path: Path, tmp_path: Path) -> None:
    once, expected = CheckedOnce(Folder(tmp_path)), Store(tmp_path).read(KEY).tensors
    for _ in range(3):
        found = once.read(KEY)
        assert list(found) == list(expected)
        for name, value in TENSORS.items():
            assert found[name].dtype == value.dtype
            assert torch.equal(found[name], value)
            found[name].zero_()  # nobody else's memory


def test_a_file_is_checked_once(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = []
    whole = objects.from_bytes
    monkeypatch.setattr(objects, "from_bytes", lambda data: checked.append(1) or whole(data))
    once = CheckedOnce(Folder(tmp_path))
    for _ in range(3):
        once.read(KEY)
    assert len(checked) == 1
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(1, 1))
    once.read(KEY)
    assert len(checked) == 2


@pytest.mark.parametrize("damage", ["truncated", "flipped", "zero", "another"])
def test_damage_after_the_first_read_is_refused_by_name(path: Path, tmp_path: Path, damage: str) -> None:
    once, data = CheckedOnce(Folder(tmp_path)), bytearray(path.read_bytes())
    once.read(KEY)
    data[-3] ^= 16
    other = objects.to_bytes({**KEY, "image": "cd" * 32}, {}, TENSORS)
    path.write_bytes({"truncated": data[:-5], "flipped": data, "zero": b"", "another": other}[damage])
    os.utime(path, ns=(1, 1))  # where clocks are coarse a write may fall into the same tick
    for _ in range(2):
        with pytest.raises(CacheError, match=f"{path} (is damaged|holds another)"):
            once.read(KEY)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        once.read(KEY)
