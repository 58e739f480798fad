"""`ldznet.toml` and the user's cache folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from ldznet_cli.config import read_settings, user_cache
from ldznet_cli.errors import UsageError


def test_no_file_is_no_settings(tmp_path: Path) -> None:
    assert read_settings(tmp_path) == {}


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "ldznet.toml").write_text('ldm = "miniature"\n[segment]\nprompt = ["lamp"]\n')
    assert read_settings(tmp_path) == {"ldm": "miniature", "segment": {"prompt": ["lamp"]}}


@pytest.mark.parametrize("content", [b"ldm = ", b"\xff\xfe"])
def test_what_is_not_toml_is_a_usage_error_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ldznet.toml").write_bytes(content)
    with pytest.raises(UsageError, match=r"ldznet\.toml cannot be read"):
        read_settings(tmp_path)


def test_the_user_cache_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache() == tmp_path / "ldznet"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert user_cache() == Path("/home/somebody/.cache/ldznet")
