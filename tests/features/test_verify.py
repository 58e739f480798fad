"""Every damage is found, and said what it is."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ldznet_cli.errors import CacheError, CacheUnreachable
from ldznet_cli.features import folder, objects
from ldznet_cli.features.census import Census
from ldznet_cli.features.key import digest
from ldznet_cli.features.objects import CachedObject, from_bytes
from ldznet_cli.features.storage import stored
from ldznet_cli.features.verify import Checked, verify
from tests.features.conftest import Finished


def faults(finished: Finished) -> list[Checked]:
    found = list(verify(Census(finished.store)))
    return [checked for checked in found if checked.fault is not None]


def test_a_sound_cache_has_no_faults_and_all_of_it_is_read(finished: Finished) -> None:
    found = list(verify(Census(finished.store)))
    assert {checked.state for checked in found} == {"whole"}
    assert [checked.name for checked in found] == list(finished.store.names())


def truncated(data: bytearray) -> bytes:
    return bytes(data[:-5])


def flipped(data: bytearray) -> bytes:
    data[-3] ^= 16
    return bytes(data)


def emptied(data: bytearray) -> bytes:
    return b""


@pytest.mark.parametrize("kind", ["z", "text", "features"])
@pytest.mark.parametrize(
    ("damage", "message"), [(truncated, "bytes, its header says"), (flipped, "checksum"), (emptied, "empty")]
)
def test_damage_is_found(
    finished: Finished, kind: str, damage: Callable[[bytearray], bytes], message: str
) -> None:
    path = finished.of_kind(kind)[0]
    path.write_bytes(damage(bytearray(path.read_bytes())))
    [fault] = faults(finished)
    assert (fault.path, fault.kind, fault.state) == (str(path), kind, "damaged")
    assert message in str(fault.fault)


def test_what_is_not_there_is_missing(finished: Finished) -> None:
    path = finished.of_kind("features")[0]
    path.unlink()
    [fault] = faults(finished)
    assert (fault.path, fault.kind, fault.state) == (str(path), "features", "missing")


def test_an_object_under_another_s_name_says_which_field_differs(finished: Finished) -> None:
    one, other = finished.of_kind("z")
    expected, found = (from_bytes(bytearray(path.read_bytes())).key["image"] for path in (one, other))
    one.write_bytes(other.read_bytes())
    [fault] = faults(finished)
    assert fault.fault == (
        f"it is another object than its name says: its image is {found!r}, expected {expected!r}"
    )


def test_one_that_no_manifest_names_is_read_too(finished: Finished) -> None:
    for manifest in (finished.cache / "manifests").iterdir():
        manifest.unlink()
    path = finished.of_kind("text")[0]
    path.write_bytes(flipped(bytearray(path.read_bytes())))
    [fault] = faults(finished)
    assert (fault.path, fault.kind) == (str(path), "in no manifest")


Z = torch.zeros(4, 6, 6)
KEY = {"kind": "features", "blocks": [5, 6], "storage": "float16"}
BLOCKS = {"5": torch.zeros(2, 3, 3), "6": torch.zeros(2, 3, 3)}


@pytest.mark.parametrize(
    ("key", "tensors", "message"),
    [
        ({"kind": "z", "storage": "float32"}, {"z": Z[:3]}, "expected 4 channels"),
        ({"kind": "z", "storage": "float16"}, {"z": Z}, r"float32 \(4, 6, 6\), expected float16"),
        ({"kind": "z", "storage": "float32"}, {"text": Z}, r"it holds \['text'\], expected \['z'\]"),
        ({"kind": "text", "storage": "float32"}, {"text": Z}, "expected float32 with 2 sides"),
        (KEY, stored({"5": Z}, "float16"), r"it holds \['5'\], expected \['5', '6'\]"),
        ({**KEY, "storage": "int8"}, stored(BLOCKS, "float16"), r"5.scale"),
        ({**KEY, "storage": "int8"}, {**stored(BLOCKS, "int8"), "6.scale": Z[0]}, "expected one a channel"),
    ],
)
def test_forms_that_the_key_does_not_have(
    finished: Finished, key: dict[str, Any], tensors: dict[str, torch.Tensor], message: str
) -> None:
    finished.store.write(key, tensors, {})
    [fault] = faults(finished)
    assert fault.name == digest(key)
    assert re.search(message, str(fault.fault))


def test_values_that_are_not_finite(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    key = {"kind": "z", "storage": "float32"}
    spoilt = CachedObject(key, {}, {"z": torch.full((4, 2, 2), float("nan"))})
    finished.store.write(key, {"z": Z}, {})
    monkeypatch.setattr(
        objects, "from_bytes", lambda data: spoilt if (found := from_bytes(data)).key == key else found
    )
    [fault] = faults(finished)
    assert fault.fault == "its tensor z is not finite"


def test_one_that_is_deleted_meanwhile_is_missing(finished: Finished) -> None:
    census = Census(finished.store)
    Path(finished.of_kind("z")[0]).unlink()
    [fault] = [checked for checked in verify(census) if checked.fault is not None]
    assert (fault.state, fault.kind) == ("missing", "z")


def failing(monkeypatch: pytest.MonkeyPatch, path: Path, number: int, times: int = 1_000_000) -> None:
    """Reading this file fails, as often as that."""
    opened, left = folder.FileIO, [number] * times

    def fails(name: str) -> Any:
        if name == str(path) and left:
            raise OSError(left.pop(), os.strerror(number))
        return opened(name)

    monkeypatch.setattr(folder, "FileIO", fails)


def test_a_bad_sector_is_a_fault_like_any_other(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    first = next(finished.store.path_of(name) for name in finished.store.names())
    failing(monkeypatch, first, errno.EIO)
    [fault] = faults(finished)
    assert (fault.path, fault.state) == (str(first), "damaged")
    assert "cannot be read (Input/output error)" in str(fault.fault)


@pytest.mark.parametrize("number", [errno.EACCES, errno.ESTALE, errno.EMFILE])
def test_what_cannot_be_read_now_is_not_called_damaged(
    finished: Finished, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = finished.of_kind("features")[0]
    failing(monkeypatch, path, number)
    with pytest.raises(CacheUnreachable, match=f"{path} cannot be read "):
        faults(finished)


def test_a_driver_that_does_not_answer_ends_it(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    census = Census(finished.store)

    def out_of_reach(self: object, name: str) -> memoryview:
        raise CacheUnreachable(f"{name} cannot be reached: timed out")

    monkeypatch.setattr(folder.Folder, "read", out_of_reach)
    with pytest.raises(CacheError, match="timed out"):
        list(verify(census))
