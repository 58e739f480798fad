from __future__ import annotations

import hashlib
import json
import os
import struct
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ldznet_cli.errors import ImageError
from ldznet_cli.samples import images
from ldznet_cli.samples.images import image_size, read_image, sha256_of
from tests.fuzz.limits import memory_of
from tests.samples.pictures import encode, put, scene

EXACT = [("RGB", "PNG"), ("RGB", "TIFF"), ("RGB", "BMP"), ("RGBA", "PNG"), ("RGBA", "TIFF"), ("CMYK", "TIFF")]
TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


def pixels(path: Path) -> np.ndarray:
    image = read_image(path)
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


@pytest.mark.parametrize(("mode", "kind"), EXACT)
def test_lossless_formats_give_the_picture_back(tmp_path: Path, mode: str, kind: str) -> None:
    np.testing.assert_allclose(pixels(put(tmp_path / "x", encode(mode, kind))), scene(), atol=1)


@pytest.mark.parametrize(
    ("mode", "kind", "off"),
    [("RGB", "JPEG", 30), ("CMYK", "JPEG", 30), ("RGB", "WEBP", 30), ("P", "GIF", 60), ("P", "PNG", 60)],
)
def test_lossy_formats_give_nearly_the_picture_back(tmp_path: Path, mode: str, kind: str, off: int) -> None:
    found = pixels(put(tmp_path / "x", encode(mode, kind)))
    assert np.abs(found - scene()).mean() < off / 3
    assert np.abs(found[3:-3, 3:-3] - scene()[3:-3, 3:-3]).max() <= off


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP", "GIF"])
def test_grey_is_three_equal_channels(tmp_path: Path, kind: str) -> None:
    found = pixels(put(tmp_path / "x", encode("L", kind)))
    assert (found == found[..., :1]).all()
    expected = np.asarray(Image.fromarray(scene()).convert("L")).astype(int)
    np.testing.assert_allclose(found[..., 0], expected, atol=6 if kind == "JPEG" else 0)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_are_scaled_to_8(tmp_path: Path, kind: str) -> None:
    found = pixels(put(tmp_path / "x", encode("I;16", kind)))
    np.testing.assert_array_equal(found, scene()[..., :1].repeat(3, axis=2))


def test_big_endian_16_bit_tiff(tmp_path: Path) -> None:
    values = np.array([[0, 128 * 257, 65535]], dtype=">u2")
    entries = [
        *[(256, 4, 3), (257, 4, 1), (258, 3, 16 << 16), (259, 3, 1 << 16), (262, 3, 1 << 16)],
        *[(273, 4, 8 + 2 + 9 * 12 + 4), (277, 3, 1 << 16), (278, 4, 1), (279, 4, 6)],
    ]
    ifd = b"".join(struct.pack(">HHII", tag, kind, 1, value) for tag, kind, value in entries)
    content = b"MM\0*" + struct.pack(">IH", 8, len(entries)) + ifd + bytes(4) + values.tobytes()
    assert pixels(put(tmp_path / "x.tif", content))[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("mode", ["F", "I"])
def test_pixels_without_a_range_are_refused(tmp_path: Path, mode: str) -> None:
    Image.fromarray(scene()[..., 0]).convert(mode).save(tmp_path / "x.tif")
    with pytest.raises(ImageError, match=f"pixels of type {mode} have no agreed range"):
        read_image(tmp_path / "x.tif")


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    rgba = np.zeros((2, 3, 4), dtype=np.uint8)
    rgba[0, 0] = (200, 10, 10, 255)
    rgba[0, 1] = (0, 0, 0, 128)
    Image.fromarray(rgba).save(tmp_path / "rgba.png")
    found = pixels(tmp_path / "rgba.png")
    assert found[0].tolist() == [[200, 10, 10], [127, 127, 127], [255, 255, 255]]
    Image.fromarray(rgba[..., 2:]).save(tmp_path / "la.png")
    assert pixels(tmp_path / "la.png")[1, 0].tolist() == [255, 255, 255]


def test_a_transparent_palette_colour_is_white(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 9, 8, 7])
    image.putdata([0, 1])
    for kind in ("png", "gif"):
        image.save(tmp_path / f"x.{kind}", transparency=0)
        assert pixels(tmp_path / f"x.{kind}").tolist() == [[[255, 255, 255], [9, 8, 7]]]
    image.save(tmp_path / "bytes.png", transparency=b"\x00\xff")
    assert pixels(tmp_path / "bytes.png").tolist() == [[[255, 255, 255], [9, 8, 7]]]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", TURNS)
def test_exif_orientation_is_applied_once(tmp_path: Path, kind: str, orientation: int) -> None:
    path = put(tmp_path / "x", encode("RGB", kind, orientation))
    expected = TURNS[orientation](scene().astype(int))
    assert pixels(path).shape == expected.shape
    assert np.abs(pixels(path) - expected).mean() < 10
    assert image_size(path) == read_image(path).size


@pytest.mark.parametrize("mode", ["CMYK", "I;16", "L"])
def test_turned_tiffs_of_mappable_modes(tmp_path: Path, mode: str) -> None:
    """Pillow maps such files into memory with the sides exchanged when it is given a path."""
    straight, turned = (put(tmp_path / str(o), encode(mode, "TIFF", o)) for o in (1, 6))
    np.testing.assert_array_equal(pixels(turned), TURNS[6](pixels(straight)))


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "blue")]
    for kind in ("gif", "webp", "png", "tiff"):
        frames[0].save(tmp_path / f"x.{kind}", save_all=True, append_images=frames[1:])
        assert pixels(tmp_path / f"x.{kind}")[0, 0].argmax() == 0


def test_damaged_exif_does_not_hide_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    Image.fromarray(scene()).save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    assert read_image(path).size == image_size(path) == (33, 21)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty file (0 bytes)"),
        (b"not an image at all", "not an image that can be read (JPEG, PNG"),
        (encode("RGB", "PNG")[:100], "damaged or truncated"),
        (encode("RGB", "PNG")[:20], "damaged or truncated"),
        (encode("RGB", "JPEG")[:500], "damaged or truncated"),
        (encode("RGB", "WEBP")[:60], "damaged or truncated"),
        (encode("RGB", "BMP")[:900], "damaged or truncated"),
        (encode("RGB", "TIFF", compression="tiff_lzw")[:400], "damaged or truncated"),
    ],
)
def test_unreadable_files_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = put(tmp_path / "x.png", content)
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name, message in [
        ("no\nsuch", "does not exist"),
        ("link", "does not exist"),
        (".", "not a file"),
        ("pipe", "not a file"),
    ]:
        for read in (read_image, sha256_of, image_size):
            with pytest.raises(ImageError, match=message) as caught:
                read(tmp_path / name)
            assert "\n" not in str(caught.value)


def png_of_zeros(width: int, height: int) -> bytes:
    """A decompression bomb: a few kilobytes for a large picture of one colour."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    data = b"".join(packer.compress(row * 64) for _ in range(min(height, 6400) // 64)) + packer.flush()
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)),
        (b"IDAT", data),
        (b"IEND", b""),
    ]
    parts = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(("width", "height"), [(10_001, 10_000), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_decompression_bombs_are_refused_undecoded(tmp_path: Path, width: int, height: int) -> None:
    path = put(
        tmp_path / "bomb.png", png_of_zeros(width, height) if width < 2**20 else png_header(width, height)
    )
    with memory_of(64 * 2**20), pytest.raises(ImageError, match="more than the 100 megapixels"):
        read_image(path)


def png_header(width: int, height: int) -> bytes:
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    header = struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + header + struct.pack(">I", 99) + b"IDAT"


def test_the_limit_is_of_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "x.png", encode("RGB", "PNG"))
    monkeypatch.setattr(images, "MAX_PIXELS", 33 * 21)
    read_image(path)
    monkeypatch.setattr(images, "MAX_PIXELS", 33 * 21 - 1)
    with pytest.raises(ImageError, match="33x21 pixels"):
        read_image(path)


def test_sha256_is_of_the_bytes(tmp_path: Path) -> None:
    path = put(tmp_path / "x", b"abc")
    assert sha256_of(path) == hashlib.sha256(b"abc").hexdigest()


@pytest.mark.parametrize("name", ["coco-panoptic", "coco-instances", "codraw-clipart", "avatars-cartoon"])
def test_real_images_have_the_annotated_size(shared: Path, name: str) -> None:
    folder = shared / "data" / name
    entries = json.loads((folder / "annotations.json").read_text())["images"]
    for place, entry in enumerate(entries):
        path, size = folder / "images" / entry["file_name"], (entry["width"], entry["height"])
        assert image_size(path) == size
        if place % 25 == 0:
            assert read_image(path).size == size


def test_a_real_grey_photograph(shared: Path) -> None:
    found = pixels(shared / "data" / "coco-panoptic" / "images" / "000000000086.jpg")
    assert found.shape == (640, 512, 3)
    assert (found == found[..., :1]).all()


def test_silence_is_shared_between_threads_and_ends(tmp_path: Path) -> None:
    path = put(tmp_path / "x.tif", encode("RGB", "TIFF", compression="tiff_lzw")[:700] + bytes(50))
    before = list(warnings.filters)

    def read() -> None:
        for _ in range(20):
            try:
                read_image(path)
            except ImageError:
                continue

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before
    with pytest.warns(UserWarning, match="heard"):
        warnings.warn("heard", stacklevel=1)
