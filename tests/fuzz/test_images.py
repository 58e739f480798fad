"""Image files that are not what they say: a picture or one line, in bounded time and memory; nothing else happens."""

from __future__ import annotations

import random
import re
import struct
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ldznet_cli.cli import main
from ldznet_cli.errors import ImageError
from ldznet_cli.inference.record_file import read_records
from ldznet_cli.samples.images import image_size, read_image
from ldznet_cli.samples.mask_png import read_mask, read_prob
from tests.fuzz.damage import PICTURES, damaged, picture, resized
from tests.fuzz.limits import memory_of
from tests.samples.pictures import put

COUNT = 2000
ROOM = 1600 << 20
"""Bytes: an image of 100 megapixels is 400 MB in Pillow, and a conversion holds two or three of it."""

READERS: tuple[Callable[[Path], Any], ...] = (read_image, image_size, read_mask, read_prob)


def refusal(path: Path, read: Callable[[Path], Any]) -> str | None:
    """Why a file is refused, None when it was read; nothing else may come of it, and not late."""
    start = time.process_time()
    try:
        read(path)
    except ImageError as error:
        message = str(error)
        assert message.startswith(f"{path}: ")
        assert message.isprintable()
        return message
    finally:
        assert time.process_time() - start < 20
    return None


@contextmanager
def warnings_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_thousands_of_damaged_files(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path, outcomes = tmp_path / "x", set()
    with warnings_are_errors(), memory_of(ROOM):
        for seed in range(COUNT):
            put(path, picture(random.Random(seed)))
            found = refusal(path, read_image)
            outcomes.add(found is None)
            if found is None:
                assert image_size(path) == read_image(path).size
            else:
                refusal(path, image_size)
            if seed % 5 == 0:
                refusal(path, read_mask)
                refusal(path, read_prob)
    assert outcomes == {True, False}
    assert capfd.readouterr() == ("", "")
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"]


def _png(*chunks: tuple[bytes, bytes]) -> bytes:
    whole = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(whole)


def _grey(width: int, height: int) -> bytes:
    """An 8-bit grey PNG of that size, black, of a few kilobytes."""
    rows = zlib.compress(bytes((width + 1) * height), 1)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return _png((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))


def _long_chunk() -> bytes:
    """A PNG of 33x21 pixels whose chunk of pixels claims to go on for 4 GiB."""
    content = bytearray(PICTURES[0])
    struct.pack_into(">I", content, content.index(b"IDAT") - 4, 2**32 - 1)
    return bytes(content)


NAMED = {
    "a mask as large as any may be": _grey(9_999, 10_000),
    "a chunk of 4 GiB": _long_chunk(),
    "a bitmap of 2 GiB": resized(PICTURES[-2], random.Random(5)),
    "a header alone": PICTURES[0][:33],
    "one format's head, another's body": PICTURES[6][:120] + PICTURES[0][120:],
}
"""What once took more memory than it should, or is the plainest of its kind."""
OUTCOMES = {
    "a mask as large as any may be": "^read$",
    "a chunk of 4 GiB": "^read$|damaged or truncated|as 16-bit grey",  # which of them, memory decides
    "a bitmap of 2 GiB": "more than the 100 megapixels|decompression bomb",
    "a header alone": "damaged or truncated",
    "one format's head, another's body": "damaged or truncated",
}
"""What comes of them, whoever reads."""


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("read", READERS)
def test_named_cases(tmp_path: Path, name: str, read: Callable[[Path], Any]) -> None:
    path = put(tmp_path / "x.png", NAMED[name])
    with warnings_are_errors(), memory_of(ROOM):
        found = refusal(path, read)
    assert re.search(OUTCOMES[name], found or "read")


def _annotated(folder: Path) -> Path:
    """Annotations of one square, for the predictor that needs no network."""
    gt = folder / "gt.json"
    gt.write_text(
        '{"images": [{"id": 1, "file_name": "a.png", "width": 8, "height": 8}], "annotations": '
        '[{"id": 1, "image_id": 1, "phrase": "lamp", "segmentation": [[0, 0, 4, 0, 4, 4]]}]}'
    )
    return gt


def test_a_folder_of_damaged_files_through_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each has a record; those that are no pictures make the exit code 3; nothing is written outside of OUT."""
    (tmp_path / "in").mkdir()
    suffixes = ("png", "jpg", "gif", "webp", "tif", "bmp")
    for seed in range(36):
        rng = random.Random(-1 - seed)
        content = damaged(rng.choice(PICTURES), rng, PICTURES) if seed % 3 else rng.choice(PICTURES)
        put(tmp_path / "in" / f"{seed}.{suffixes[seed % 6]}", content)
    _annotated(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    command = ["segment", "in", "--prompt", "lamp", "--predictor", "category-mean", "--fit", "gt.json"]
    assert main([*command, "--out", "out", "--format", "mask,prob,overlay,cutout,coco"]) == 3
    shown = capfd.readouterr()
    assert "Traceback" not in shown.err
    records = list(read_records(Path("out/records.jsonl")))
    assert len(records) == len(shown.out.splitlines()) == 36
    failed = {record.image.name for record in records if record.error is not None}
    assert 0 < len(failed) < 24
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {path: after[path] for path in before} == before
    assert all(path.is_relative_to(tmp_path / "out") for path in after.keys() - before.keys())
    for record in records:
        if record.error is None:
            with Image.open(str(record.mask)) as mask:
                assert mask.size == (record.image.width, record.image.height)
