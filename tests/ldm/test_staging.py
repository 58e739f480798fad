"""A model folder is whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from ldznet_cli.errors import UsageError
from ldznet_cli.ldm.staging import staged


@pytest.mark.parametrize("out", ["new", "deep/new", "empty"])
def test_it_is_there_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    with staged(Path(out)) as part:
        (part / "weights").write_bytes(b"1")
        assert not (tmp_path / out / "weights").exists()
    assert (tmp_path / out / "weights").read_bytes() == b"1"
    assert not list(tmp_path.rglob("*.part"))


def test_one_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), staged(tmp_path / "new") as part:
        (part / "weights").write_bytes(b"1")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_the_working_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="is the working folder itself"), staged(Path()):
        pass
