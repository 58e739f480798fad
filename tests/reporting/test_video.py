"""Masked videos, seen as a player sees them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from ldznet_cli.errors import LdznetError, UsageError
from ldznet_cli.reporting import video
from ldznet_cli.reporting.video import MaskedVideo, cutout
from ldznet_cli.samples.listing import ImageRef
from ldznet_cli.samples.masks import encode_rle
from ldznet_cli.samples.reading import ref_of
from ldznet_cli.samples.record import Record, RecordImage
from tests.films import film, frames_of


def record(path: Path, index: int, mask: np.ndarray, seconds: float, label: str = "bar") -> Record:
    height, width = mask.shape
    image = RecordImage(str(path), f"clip/{index:06}.png", "a" * 64, width, height, index, seconds)
    return Record(image, label, label, rle=encode_rle(mask))


def test_frames_keep_their_size_their_time_and_their_colours(tmp_path: Path) -> None:
    path = film(tmp_path / "in" / "clip.mp4", 10)
    mask = np.zeros((32, 48), dtype=bool)
    mask[:16] = True
    chosen = [0, 3, 6, 9]
    records = [record(path, n, mask, n / 10) for n in chosen]
    made = MaskedVideo({(path, "bar"): "clip/bar.mp4"}, images(records), "video-cutout", cutout)
    made.write(tmp_path, records)
    found = frames_of(tmp_path / "clip/bar.mp4")
    assert [seconds for seconds, _ in found] == pytest.approx([n / 10 for n in chosen])
    for number, (_, pixels) in zip(chosen, found, strict=True):
        assert pixels.shape == (32, 48, 3)
        red, white, black = pixels[2:14, : 2 * number + 1], pixels[2:14, 2 * number + 4 :], pixels[18:]
        assert np.abs(red.reshape(-1, 3).mean(0) - (255, 0, 0)).max() < 12
        assert white.mean() > 245
        assert black.mean() < 8


def images(records: list[Record]) -> dict[str, ImageRef]:
    return {one.image.name: ref_of(one) for one in records}


@pytest.mark.parametrize("size", [(48, 32), (47, 31), (48, 31), (1, 1)])
def test_odd_sizes_are_kept(tmp_path: Path, size: tuple[int, int]) -> None:
    from PIL import Image

    (tmp_path / "frames").mkdir()
    records = []
    for number in range(3):
        place = tmp_path / "frames" / f"{number}.png"
        Image.new("RGB", size, (0, 0, 250)).save(place)
        image = RecordImage(str(place), place.name, "a" * 64, *size)
        records.append(Record(image, "b", "b", rle=encode_rle(np.ones(size[::-1], dtype=bool))))
    made = MaskedVideo(
        {(tmp_path / "frames", "b"): "b.mp4"}, images(records), "video-cutout", cutout, Fraction(5)
    )
    made.write(tmp_path, records)
    found = frames_of(tmp_path / "b.mp4")
    assert [seconds for seconds, _ in found] == pytest.approx([0, 0.2, 0.4])
    assert found[0][1].shape == (size[1], size[0], 3)
    assert np.abs(found[0][1].reshape(-1, 3).mean(0) - (0, 0, 250)).max() < 12
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.streams.video[0].average_rate == 5
        assert container.duration == pytest.approx(600_000, abs=1000)


def test_the_same_records_make_the_same_bytes(tmp_path: Path) -> None:
    """In four of five times: once in some thousand clips x264 makes a few bytes else of the same pictures."""
    path = film(tmp_path / "clip.mp4", 6)
    records = [record(path, n, np.eye(32, 48, dtype=bool), n / 10, label) for n in range(6) for label in "ab"]
    made = MaskedVideo({(path, "a"): "a.mp4", (path, "b"): "b.mp4"}, images(records))
    outs = [tmp_path / str(number) for number in range(5)]
    for out in outs:
        made.write(out, records)
        if out is outs[1]:
            time.sleep(1.1)  # in whole seconds is what a container tells of when it was written
    for name in made.files:
        [(_, equal)] = Counter((out / name).read_bytes() for out in outs).most_common(1)
        assert equal >= 4
    assert len(frames_of(tmp_path / "0/a.mp4")) == 6


def test_many_labels_are_written_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, other = film(tmp_path / "clip.mp4", 4), film(tmp_path / "other.mp4", 3)
    wanted = {path: "abcdefghi", other: "ab"}
    records = [
        record(clip, n, np.eye(32, 48, dtype=bool), n / 10, label)
        for clip, labels in wanted.items()
        for n in range(4 if clip == path else 3)
        for label in labels
    ]
    records = [
        replace(one, image=replace(one.image, name=f"{Path(one.image.path).stem}/{one.image.frame}.png"))
        for one in records
    ]
    made = MaskedVideo(
        {(clip, label): f"{clip.stem}/{label}.mp4" for clip, labels in wanted.items() for label in labels},
        images(records),
    )
    open_now, most = set[str](), [0]
    encode = video._encoder

    @contextmanager
    def counted(place: Path, *rest: Any) -> Iterator[Any]:
        open_now.add(place.name)
        most[0] = max(most[0], len(open_now))
        with encode(place, *rest) as encoder:
            yield encoder
        open_now.remove(place.name)

    monkeypatch.setattr(video, "_encoder", counted)
    made.write(tmp_path, records)
    assert most == [video._AT_ONCE]
    for clip, labels in wanted.items():
        for label in labels:
            assert len(frames_of(tmp_path / clip.stem / f"{label}.mp4")) == (4 if clip == path else 3)


def test_frames_of_two_sizes_make_no_video(tmp_path: Path) -> None:
    from PIL import Image

    records = []
    for number, size in enumerate(((8, 8), (9, 8))):
        place = tmp_path / f"{number}.png"
        Image.new("RGB", size).save(place)
        mask = np.ones(size[::-1], dtype=bool)
        records.append(
            Record(RecordImage(str(place), place.name, "a" * 64, *size), "b", "b", rle=encode_rle(mask))
        )
    made = MaskedVideo({(tmp_path, "b"): "b.mp4"}, images(records))
    with pytest.raises(
        LdznetError, match=r"b\.mp4: a video has one size, and there are frames of 8x8 and 9x8"
    ):
        made.write(tmp_path, records)
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".png"] == []


def test_without_its_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "codecs_available", set())
    with pytest.raises(UsageError, match="--format video: this PyAV has no libx264"):
        MaskedVideo({}, {})
