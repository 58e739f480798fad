"""Very many images: some cannot be read, and memory must not grow with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ldznet_cli.cli import main
from ldznet_cli.ldm import FrozenLDM
from tests.faults.scene import objects_in
from tests.features.conftest import draw_image

FEW, MANY = 100, 700
GROWTH = 12e6
"""Bytes. The features of an image take some 40,000 here: of 600 that were all kept it would be twice as much."""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of 64 pixels, no two alike."""
    folder = tmp_path_factory.mktemp("drawn")
    for number in range(1_000):
        draw_image(folder / f"{number:04}.png", number, 64, 64)
    return folder


def some(drawn: Path, folder: Path, count: int) -> list[Path]:
    """The first `count` of them, in a folder of their own."""
    folder.mkdir()
    found = sorted(drawn.iterdir())[:count]
    for path in found:
        os.link(path, folder / path.name)
    return found


def test_unreadable_images_among_a_thousand(
    ldm: FrozenLDM, drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, cache = tmp_path / "images", tmp_path / "cache"
    good = [path.read_bytes() for path in some(drawn, folder, 1_000)]
    faults: dict[str, Callable[[bytes], bytes]] = {
        "0000-empty.png": lambda data: b"",
        "0333-truncated.png": lambda data: data[: len(data) // 2],
        "0500-text.jpg": lambda data: b"this is not an image",
        "0666-flipped.png": lambda data: data[:700] + bytes(20) + data[720:],
        "1000-header.png": lambda data: data[:20],
    }
    for name, fault in faults.items():
        (folder / name).write_bytes(fault(good[int(name[:3])]))
    arguments = ["cache-features", str(folder), "--z-only", "--ldm", str(ldm.folder), "--size", "64"]
    arguments += ["--cache", str(cache)]
    assert main(arguments) == 3
    told = capsys.readouterr().err.splitlines()
    assert told[-1].endswith(
        f"5 of 1005 images could not be cached: see {cache}/failed.jsonl; the others are done"
    )
    assert sum(line.startswith("ldznet: warning: ") for line in told) == 5
    assert objects_in(cache) == 1_000
    listed = [json.loads(line) for line in (cache / "failed.jsonl").read_text().splitlines()]
    assert {Path(line["image"]).name for line in listed} == set(faults)
    assert all(line["error"] for line in listed)

    for number, name in enumerate(faults):  # mended, and fed back
        draw_image(folder / name, 5_000 + number, 64, 64)
    assert main([*arguments, "--retry-failed"]) == 0
    assert "5 objects to make (5 z), 0 already there" in capsys.readouterr().err
    assert not (cache / "failed.jsonl").exists()
    assert main([*arguments, "--retry-failed"]) == 4
    assert "nothing has failed" in capsys.readouterr().err
    assert main(arguments) == 0
    assert "nothing to do: all 1005 objects are in" in capsys.readouterr().err


PEAK = """
import sys
from ldznet_cli.cli import main
code = main(sys.argv[1:])
[line] = [line for line in open("/proc/self/status") if line.startswith("VmHWM:")]
print(1024 * int(line.split()[1]))
raise SystemExit(code)
"""
"""The command in a process of its own, and the most memory that it has ever had."""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="only Linux tells a process's own peak")
def test_memory_stays_flat(ldm: FrozenLDM, drawn: Path, tmp_path: Path) -> None:
    peaks = []
    for count in (FEW, MANY):
        folder, cache = tmp_path / f"{count}", tmp_path / f"cache-{count}"
        some(drawn, folder, count)
        arguments = ["--prompt", "lamp", "--ldm", str(ldm.folder), "--size", "64", "--batch", "1", "-q"]
        arguments += ["--blocks", "0,1,8,9,10", "--draws", "4", "--cache", str(cache)]
        command = [sys.executable, "-c", PEAK, "cache-features", str(folder), *arguments]
        peaks.append(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        assert objects_in(cache) >= 5 * count
    assert peaks[1] - peaks[0] < GROWTH
