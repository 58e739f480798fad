"""Temporary files of dead processes are found again; those of the living, and of others, are left alone."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from ldznet_cli.samples.atomic import write_atomically
from ldznet_cli.samples.leftovers import part_name, sweep
from tests.faults.scene import ended, forked


def test_sweep_takes_away_what_dead_processes_left_and_nothing_else(tmp_path: Path) -> None:
    left = tmp_path / "deep" / "er" / "left.bin"

    def killed() -> None:
        os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
        write_atomically(left, b"half")

    assert ended(forked(killed)) == -signal.SIGKILL
    [dead] = left.parent.iterdir()
    assert dead.read_bytes() in (b"", b"half")
    living = dead.with_name(part_name())
    elsewhere = dead.with_name(dead.name.replace(dead.name.split(".")[2], "another-machine"))
    foreign = tmp_path / ".notes.part"
    for path in (living, elsewhere, foreign):
        path.write_bytes(b"")
    assert sweep(tmp_path) == 1
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {living, elsewhere, foreign}


def test_a_folder_that_is_not_there_holds_no_leftovers(tmp_path: Path) -> None:
    assert sweep(tmp_path / "none") == 0


def test_the_name_is_short_whatever_the_file_is_called(tmp_path: Path) -> None:
    write_atomically(tmp_path / ("x" * 255), b"")
    assert len(part_name()) < 160


def test_on_windows_no_process_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There, a signal of number 0 is a Ctrl-C to whoever has that number now."""
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(os, "kill", lambda *arguments: asked.append(arguments))
    (tmp_path / part_name()).write_bytes(b"")
    assert sweep(tmp_path) == 0
    assert asked == []
