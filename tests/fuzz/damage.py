"""Damage to files and to JSON values, as a function of a seed: what a disk, a network or an enemy would do to them."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Sequence
from typing import Any

from tests.samples.pictures import encode

PICTURES: tuple[bytes, ...] = (
    *(encode(mode, "PNG") for mode in ("RGB", "RGBA", "P", "I;16", "1")),
    encode("RGB", "PNG", orientation=6),
    *(encode(mode, "JPEG") for mode in ("RGB", "L", "CMYK")),
    encode("RGB", "JPEG", orientation=6),
    encode("RGB", "JPEG", progressive=True),
    encode("P", "GIF"),
    *(encode("RGBA", "WEBP", lossless=lossless) for lossless in (True, False)),
    *(encode(mode, "TIFF", compression="tiff_lzw") for mode in ("RGB", "I;16")),
    encode("L", "TIFF", compression="packbits"),
    encode("1", "TIFF", compression="group4"),
    encode("RGB", "TIFF", compression="jpeg"),
    encode("RGB", "TIFF", orientation=5),
    encode("RGB", "BMP"),
    encode("P", "BMP"),
)
"""Whole files of the six formats that are read."""

_SIZES = (0, 1, 7, 9_999, 10_000, 32_767, 65_535, 2**31 - 1, 2**31, 2**32 - 1)
_WORDS = (b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\1")


def damaged(content: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """The bytes with one to twenty places of them changed, the first 200 as often as all the others.

    Among `others` is the file whose end takes the place of this one's.
    """
    found = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        place = rng.randrange(len(found)) if rng.random() < 0.5 else rng.randrange(min(len(found), 200))
        change = rng.randrange(6 if others else 5)
        if change == 0:
            found[place] ^= 1 << rng.randrange(8)
        elif change == 1:
            found[place] = rng.randrange(256)
        elif change == 2:
            found[place : place + 4] = rng.choice(_WORDS)
        elif change == 3:
            found[place:place] = rng.randbytes(3)
        elif change == 4:
            del found[place : place + rng.choice((1, 2, 10**6))]
        else:
            found[place:] = rng.choice(others)[place:]
        found = found or bytearray(b"?")
    return bytes(found)


def resized(content: bytes, rng: random.Random) -> bytes:
    """A picture whose header tells of another size than its pixels have; of a PNG with the right checksum."""
    width, height = rng.choice(_SIZES), rng.choice(_SIZES)
    found = bytearray(content)
    if content.startswith(b"\x89PNG"):
        struct.pack_into(">II", found, 16, width, height)
        struct.pack_into(">I", found, 29, zlib.crc32(found[12:29]))
    elif content.startswith(b"GIF8"):
        struct.pack_into("<HH", found, 6, width % 65536, height % 65536)
        picture = found.index(b"\x2c", 13 + 3 * 2 ** ((found[10] & 7) + 1))
        struct.pack_into("<HH", found, picture + 5, width % 65536, height % 65536)
    elif content.startswith(b"BM"):
        struct.pack_into("<II", found, 18, width, height)
    elif content.startswith(b"\xff\xd8"):
        frame = max(found.find(b"\xff\xc0"), found.find(b"\xff\xc2"))
        struct.pack_into(">HH", found, frame + 5, height % 65536, width % 65536)
    elif content.startswith(b"II*\0"):
        _resize_tiff(found, width, height)
    else:  # of a RIFF the chunk that has the size depends on its kind: each is hit now and then
        struct.pack_into("<HH", found, rng.randrange(12, 32), width % 65536, height % 65536)
    return bytes(found)


def _resize_tiff(found: bytearray, width: int, height: int) -> None:
    directory = struct.unpack_from("<I", found, 4)[0]
    for entry in range(struct.unpack_from("<H", found, directory)[0]):
        place = directory + 2 + 12 * entry
        tag = struct.unpack_from("<H", found, place)[0]
        if tag in (256, 257):
            struct.pack_into("<HHII", found, place, tag, 4, 1, width if tag == 256 else height)


def picture(rng: random.Random) -> bytes:
    """One of the pictures, damaged, or with a size that it does not have, or both."""
    content = rng.choice(PICTURES)
    if rng.random() < 0.3:
        content = resized(content, rng)
        if rng.random() < 0.7:
            return content
    return damaged(content, rng, PICTURES)


_STRANGE: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 10**5, 2**31, 2**63, 2**70, 10**30, -(2**64), 0.5, 1e9, -1e-9, 1e308),
    *(float("nan"), float("inf"), float("-inf"), "", "x", " ", "\0", "\ud800", "é\n\x1b[31m", "9" * 400),
    *("../../../etc/passwd", "/etc/passwd", "a/../../b", "\\\\host\\share", "~", "-", "x" * 5000, "a\0b"),
    *([], {}, [[]], [{}], [None], {"": []}, [[[0, 0]]], {"size": [4, 4], "counts": "PPPP"}, [[1e300] * 6]),
)


def deep(levels: int) -> Any:
    """Lists in lists, some levels deep."""
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


def changed(value: Any, rng: random.Random) -> Any:
    """The same JSON with one place in it replaced, taken away, doubled, renamed or wrapped."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(sorted(value))
        kind = rng.random()
        if kind < 0.1:
            return {k: v for k, v in value.items() if k != key}
        if kind < 0.15:
            return {**value, rng.choice(sorted(value)): value[key]}
        return value | {key: changed(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.85:
        place, kind = rng.randrange(len(value)), rng.random()
        if kind < 0.1:
            return [*value, value[place]]
        if kind < 0.2:
            return value[:place] + value[place + 1 :]
        return [*value[:place], changed(value[place], rng), *value[place + 1 :]]
    if isinstance(value, str) and value and rng.random() < 0.5:
        place = rng.randrange(len(value))
        return value[:place] + chr(rng.randrange(1, 256)) + value[place + rng.randrange(2) :]
    if isinstance(value, int | float) and rng.random() < 0.3:
        return rng.choice((-value, value + 1, value - 1, value * 10**6, str(value), [value], float(value)))
    if rng.random() < 0.05:
        return deep(rng.choice((3, 50, 500)))
    return rng.choice(_STRANGE)


def changed_often(value: Any, rng: random.Random) -> Any:
    """The same JSON, changed in one to four places."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        value = changed(value, rng)
    return value
