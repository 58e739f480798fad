"""Videos read frame by frame; whole ones, turned ones, broken ones."""

from __future__ import annotations

import os
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ldznet_cli.errors import ImageError, NothingToDo, UsageError
from ldznet_cli.samples import reading, video
from ldznet_cli.samples.listing import Frame, ImageRef, list_images
from ldznet_cli.samples.reading import ImageReader
from ldznet_cli.samples.video import Film, scan
from tests.films import film, silent_sound


def frame(path: Path, index: int) -> ImageRef:
    return ImageRef(path, f"clip/{index:06}.png", frame=Frame(index, 0.0))


def width_of_bar(path: Path, index: int, reader: ImageReader | None = None) -> int:
    pixels = np.asarray((reader or ImageReader()).read(frame(path, index))).astype(int)
    return int((pixels[0, :, 1] < 128).sum())


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".avi", ".ts", ".flv", ".mpg"])
def test_every_frame_of_every_format(tmp_path: Path, suffix: str) -> None:
    path = film(tmp_path / f"clip{suffix}", rate=25 if suffix == ".mpg" else 10)
    found = scan(path)
    assert found.fault is None
    assert [one.index for one in found.frames] == list(range(12))
    step = 0.04 if suffix == ".mpg" else 0.1
    assert [one.time for one in found.frames] == pytest.approx([step * n for n in range(12)], abs=2e-3)
    assert found.rate == Fraction(1) / Fraction(step).limit_denominator(100)
    with ImageReader() as reader:
        assert [width_of_bar(path, n, reader) for n in (0, 5, 11)] == [2, 12, 24]


@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_a_picture_is_upright(tmp_path: Path, rotation: int) -> None:
    """90 turns against the clock, as FFmpeg's display matrices do."""
    stored = np.full((34, 46, 3), 255, np.uint8)
    stored[:20, :10] = (255, 0, 0)
    path = film(tmp_path / "clip.mp4", [stored] * 2, rotation=rotation)
    pixels = np.asarray(ImageReader().read(frame(path, 0))).astype(float)
    assert np.abs(pixels - np.rot90(stored, rotation // 90)).mean() < 5


def test_frames_are_decoded_once_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, opened = film(tmp_path / "clip.mp4"), []

    class Counted(Film):
        def __init__(self, path: Path) -> None:
            opened.append(path)
            super().__init__(path)

    monkeypatch.setattr(reading, "Film", Counted)
    with ImageReader() as reader:
        assert [width_of_bar(path, n, reader) for n in (1, 2, 7, 11)] == [4, 6, 16, 24]
        assert len(opened) == 1
        assert width_of_bar(path, 3, reader) == 8
        assert len(opened) == 2
        digests = {reader.sha256(frame(path, n)) for n in range(3)}
        assert len(digests) == 1


def test_times_begin_at_the_first_frame_and_never_go_back(tmp_path: Path) -> None:
    with Film(film(tmp_path / "clip.ts")) as opened:  # whose clock begins somewhere else
        times = [one.time for one, _ in opened]
    assert times[0] == 0
    assert times == sorted(times)


@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".mp4", ".ts"])
def test_what_can_be_decoded_of_a_cut_video_is_found(tmp_path: Path, suffix: str) -> None:
    """A stream of broadcast television has no header that could tell of its end."""
    index_first = {"movflags": "faststart"} if suffix == ".mp4" else {}
    path = film(tmp_path / f"clip{suffix}", 40, size=(96, 64), **index_first)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    found = scan(path)
    assert 0 < len(found.frames) < 40
    if suffix == ".ts":
        return
    assert found.fault is not None
    with pytest.raises(
        ImageError, match=r"clip.*: damaged or cut off \(at frame .*can be decoded of it is taken"
    ):
        ImageReader().read(frame(path, len(found.frames)))


def test_damage_in_the_middle_is_told_of_and_passed(tmp_path: Path) -> None:
    path = film(tmp_path / "clip.mp4", 40, size=(96, 64))
    content = bytearray(path.read_bytes())
    middle = content.index(b"mdat") + 700
    content[middle : middle + 120] = bytes(range(120))
    path.write_bytes(content)
    found = scan(path)
    assert found.fault is not None
    assert len(found.frames) > 20
    assert found.frames[-1].time > 3.5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty file"),
        (b"not a video at all" * 50, "no video that can be read, or cut off"),
        (b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:1,\nother.ts\n#EXT-X-ENDLIST\n", "no video that can be read"),
        (b"ffconcat version 1.0\nfile other.ts\n", "no video that can be read"),
    ],
)
def test_what_is_no_video(tmp_path: Path, content: bytes, message: str) -> None:
    film(tmp_path / "other.ts")
    (tmp_path / "clip.mp4").write_bytes(content)
    with pytest.raises(ImageError, match=message):
        scan(tmp_path / "clip.mp4")


def test_sound_alone(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"sound\.mp4: has no video stream"):
        scan(silent_sound(tmp_path / "sound.mp4"))


def test_no_frame_at_all(tmp_path: Path) -> None:
    path = film(tmp_path / "clip.ts", 2)
    content = path.read_bytes()  # the tables that tell of the stream, and none of what is in it
    path.write_bytes(b"".join(content[n : n + 188] for n in range(0, 188 * 3, 188)))
    with pytest.raises(ImageError, match="no frame of it can be decoded|no video"):
        scan(path)


def test_the_extra_is_named_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(tmp_path / "clip.mp4", 1)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UsageError, match=r"clip\.mp4: videos need PyAV: pip install 'ldznet-cli\[video\]'"):
        scan(path)


def test_globs_find_videos_and_folders_do_not(tmp_path: Path) -> None:
    film(tmp_path / "clips" / "a.mp4", 1).rename(tmp_path / "clips" / "b.MOV")
    film(tmp_path / "clips" / "a.mp4", 1)
    pattern = str(tmp_path / "clips" / "*")
    assert [ref.name for ref in list_images([pattern], videos=True)] == ["a.mp4", "b.MOV"]
    with pytest.raises(NothingToDo, match="no image found"):
        list_images([pattern])
    with pytest.raises(NothingToDo, match=r"no image found in .*, but videos: name them, as in '.*\*\.mp4'"):
        list_images([tmp_path / "clips"], videos=True)


def test_frames_that_are_too_large_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(tmp_path / "clip.mp4", 2)
    monkeypatch.setattr(video, "MAX_PIXELS", 47 * 31)
    with pytest.raises(ImageError, match="no frame of it can be decoded"):
        scan(path)


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    path = film(tmp_path / "clip.mp4", 2).rename(tmp_path / os.fsdecode(b"a\xff:|b.mp4"))
    assert len(scan(path).frames) == 2
