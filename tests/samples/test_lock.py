"""One run at a time in one OUT, whatever becomes of the one before."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ldznet_cli.errors import LdznetError, UsageError
from ldznet_cli.samples.lock import LOCK, locked

MODULE = importlib.import_module("ldznet_cli.samples.lock")

HOLDER = """
import sys, time
from pathlib import Path
from ldznet_cli.samples.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_is_told_who_the_first_is(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    with locked(out):
        with (
            pytest.raises(UsageError, match=rf"out: another run writes there \(process {os.getpid()} on "),
            locked(out),
        ):
            pass
        assert (out / LOCK).exists()
    assert list(out.iterdir()) == []
    with locked(out):
        pass


def test_one_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(UsageError, match=f"process {holder.pid} on "), locked(tmp_path):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert (tmp_path / LOCK).exists()
    with locked(tmp_path):
        pass
    assert not (tmp_path / LOCK).exists()


def test_a_lock_that_went_away_meanwhile_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its holder ended between our opening the file and locking it: somebody else may have made a new one."""
    taking, taken = MODULE._try, []

    def late(file: object) -> bool:
        if not taken:
            (tmp_path / LOCK).unlink()
        taken.append(file)
        return bool(taking(file))

    monkeypatch.setattr(MODULE, "_try", late)
    with locked(tmp_path):
        assert len(taken) == 2
        assert (tmp_path / LOCK).exists()


def test_a_file_system_without_locks_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: object) -> bool:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(MODULE, "_try", none)
    told: list[str] = []
    with locked(tmp_path, told.append):
        assert list(tmp_path.iterdir()) == []
    assert len(told) == 1
    assert "knows no locks (No locks available)" in told[0]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LdznetError, match="cannot be written"), locked(tmp_path / "file" / "out"):
        pass
