"""`ldznet init` writes what `ldznet` itself reads."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import typer

from ldznet_cli.cli import app, main, settings
from ldznet_cli.cli.init import template

GROUP = typer.main.get_command(app)


def test_init_writes_a_file_that_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 0
    assert capsys.readouterr().out == ""
    written = tomllib.loads(Path("ldznet.toml").read_text(encoding="utf-8"))
    assert all(table == {} for table in written.values())


def test_init_does_not_overwrite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ldznet.toml").write_text("seed = ")  # --force must get past a file that is broken
    assert main(["init"]) == 2
    assert "`ldznet init --force` overwrites it" in capsys.readouterr().err
    assert Path("ldznet.toml").read_text() == "seed = "
    assert main(["init", "--force"]) == 0
    assert "#seed" in Path("ldznet.toml").read_text(encoding="utf-8")


def test_every_line_is_a_known_option_once_its_hash_is_taken_away() -> None:
    text = re.sub(r"^#(?=[a-z])", "", template(GROUP), flags=re.MULTILINE)
    settings.default_map(GROUP, tomllib.loads(text), {})


def test_every_option_of_every_verb_is_there() -> None:
    text = template(GROUP)
    for name, command in settings.leaves(GROUP):
        if name != "init" and " " not in name:
            for key in settings.options_of(command):
                assert f"\n#{key} = " in text
