"""The list of what failed: whatever a file may be called, it is read back as it was."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ldznet_cli.errors import CacheError, NothingToDo
from ldznet_cli.features.events import FAILED, read_failures, write_failures
from ldznet_cli.features.plan import Failure
from ldznet_cli.samples.images import ImageRef

NAMES = [
    "plain.png",
    "caf\u00e9.png",
    os.fsdecode(b"caf\xe9.png"),  # no UTF-8
    "line\u2028separator.png",
    "next\u0085line.png",
    "vertical\vtab.png",
    "line\nfeed.png",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_comes_back_whatever_it_holds(tmp_path: Path, name: str) -> None:
    paths = [tmp_path / name, tmp_path / "other.png"]
    write_failures(tmp_path, [Failure(ImageRef(path, path.name), f"{path}: unreadable") for path in paths])
    assert read_failures(tmp_path) == set(paths)
    lines = (tmp_path / FAILED).read_bytes().decode("ascii").splitlines()
    assert [json.loads(line)["name"] for line in lines] == [path.name for path in paths]


def test_without_failures_there_is_no_list(tmp_path: Path) -> None:
    write_failures(tmp_path, [Failure(ImageRef(tmp_path / "a", "a"), "unreadable")])
    write_failures(tmp_path, [])
    with pytest.raises(NothingToDo, match="nothing has failed"):
        read_failures(tmp_path)


def test_a_list_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / FAILED).write_text('{"image": 3}\n')
    with pytest.raises(CacheError, match="is not a list of failures"):
        read_failures(tmp_path)
