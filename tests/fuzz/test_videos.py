"""Video files that are not what they say: frames and one line, in bounded time and memory; nothing else happens."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from ldznet_cli.cli import main
from ldznet_cli.errors import ImageError
from ldznet_cli.samples.listing import Frame, ImageRef
from ldznet_cli.samples.reading import ImageReader
from ldznet_cli.samples.video import scan
from tests.films import film
from tests.fuzz.damage import damaged
from tests.fuzz.limits import memory_of

SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".ts", ".flv", ".mpg")
ROOM = 1200 << 20


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("whole")
    return [film(folder / f"a{suffix}", 5, size=(32, 16), rate=25, gop=3).read_bytes() for suffix in SUFFIXES]


def test_hundreds_of_damaged_files(
    tmp_path: Path, whole: list[bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    """What scanning finds, reading finds again."""
    path, found = tmp_path / "x.mp4", Counter[str]()
    with memory_of(ROOM):
        for seed in range(280):
            rng = random.Random(seed)
            path.write_bytes(damaged(whole[seed % len(whole)], rng, whole))
            start = time.process_time()
            try:
                scanned = scan(path)
                found["whole" if scanned.fault is None else "broken"] += 1
                assert len(scanned.frames) < 100
                with ImageReader() as reader:
                    for frame in scanned.frames:
                        assert reader.read(ImageRef(path, "x", frame=frame)).mode == "RGB"
                    with pytest.raises(ImageError, match=r"x\.mp4: damaged or cut off"):
                        reader.read(ImageRef(path, "x", frame=Frame(len(scanned.frames), 0.0)))
            except ImageError as error:
                message = str(error)
                assert message.startswith(f"{path}: ")
                assert message.isprintable()
                found["refused"] += 1
            assert time.process_time() - start < 10
    assert min(found["whole"], found["broken"], found["refused"]) > 10, found
    assert capfd.readouterr() == ("", "")
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.mp4"]


def test_some_through_the_command(
    tmp_path: Path, whole: list[bytes], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for seed, content in enumerate(whole):
        Path("in", f"{seed}{SUFFIXES[seed]}").write_bytes(damaged(content, random.Random(seed)))
    assert main(["segment", "in/*", "--prompt", "x", "--dry-run"]) == 0
    out, err = capfd.readouterr()
    assert out.count("\n") >= len(whole)
    assert all(line.startswith("ldznet: ") for line in err.splitlines())
    assert [entry.name for entry in tmp_path.iterdir()] == ["in"]
