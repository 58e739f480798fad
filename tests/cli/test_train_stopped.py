"""`ldznet train` that is stopped from outside: by Ctrl-C, by a disk that runs full. The run stays whole and goes on."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ldznet_cli.cli import main
from ldznet_cli.nets import load_net, read_info
from tests.faults.scene import ended, forked, until
from tests.training.world import squares


@pytest.fixture
def training(tmp_path: Path, tiny_ldm: Path) -> Callable[[int], list[str]]:
    """The arguments of a training of so many steps of a few milliseconds, validated every other step."""
    gt = squares(tmp_path / "set").path
    fixed = ["--gt", str(gt), "--ldm", str(tiny_ldm), "--net", "znet", "--size", "64", "--device", "cpu"]
    small = ["--preset", "miniature", "--batch", "2", "--head-width", "2", "--validate-every", "2"]
    return lambda steps: ["train", *fixed, *small, "--steps", str(steps), "--out", str(tmp_path / "run")]


def test_ctrl_c_for_real(training: Callable[[int], list[str]], tmp_path: Path) -> None:
    run, told = tmp_path / "run", tmp_path / "told.txt"

    def command() -> None:
        with told.open("w") as sys.stderr:
            os._exit(main(training(2000)))

    child = forked(command)
    until((run / "config.json").exists)
    os.kill(child, signal.SIGINT)
    assert ended(child) == 130
    done = json.loads((run / "training.json").read_text())["step"]
    line = told.read_text().splitlines()[-1]
    assert line.startswith(f"ldznet: error: stopped after step {done} of 2000")
    assert "the same command" in line
    assert not list(tmp_path.rglob("*.part"))
    assert load_net(run).config == read_info(run).config


def test_a_disk_that_runs_full_leaves_a_whole_run_that_goes_on(
    training: Callable[[int], list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sync, run = os.fsync, tmp_path / "run"

    def runs_full(file: int) -> None:
        if (run / "config.json").exists():
            raise OSError(28, "No space left on device")
        sync(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", runs_full)
        assert main(training(6)) == 1
    assert "no space left to write to" in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.rglob("*.part"))
    assert load_net(run).config == read_info(run).config
    assert main(training(6)) == 0
    assert json.loads((run / "training.json").read_text())["step"] == 6
