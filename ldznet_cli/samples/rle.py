"""COCO's run-length encoding: columns first, runs of background and foreground in turn, the first may be 0.

The compressed string is pycocotools' (cocoapi: common/maskApi.c): each count from the fourth on is stored as its
difference from the count two before it, in base 32 with the lowest digit first, as characters from "0" (48); bit 32 of
a character says that more follow, bit 16 of the last is the sign. Read and written here in NumPy, because a broken
string must be an error, in one line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ldznet_cli.errors import AnnotationError

Mask = NDArray[np.bool_]
Counts = NDArray[np.int64]

_MOST_DIGITS = 7
"""35 bits: more than any count of a picture that is read."""


def encode_rle(mask: Mask) -> dict[str, Any]:
    """{"size": [height, width], "counts": str} of a bool mask (height, width); equal to pycocotools' encoding."""
    height, width = mask.shape
    return {"size": [height, width], "counts": _to_string(_counts_of(mask))}


def decode_rle(counts: str | Sequence[int], height: int, width: int) -> Mask:
    """The bool mask (height, width). Raises AnnotationError where the counts are not those of such a mask."""
    runs = read_counts(counts, height, width)
    values = np.arange(len(runs)) % 2 == 1
    return np.ascontiguousarray(np.repeat(values, runs).reshape(width, height).T)


def read_counts(counts: str | Sequence[int], height: int, width: int) -> Counts:
    """The run lengths, checked: none negative, together height x width."""
    runs = _from_string(counts) if isinstance(counts, str) else _from_list(counts)
    if (runs < 0).any() or (runs > height * width).any():
        raise AnnotationError("RLE counts hold a run below 0 or beyond the image: the counts are damaged")
    if int(runs.sum()) != height * width:
        raise AnnotationError(
            f"RLE counts cover {int(runs.sum())} pixels: expected {height * width} ({height}x{width})"
        )
    return runs


def foreground(counts: str) -> int:
    """The number of mask pixels of a compressed string that `read_counts` has taken; nothing is drawn."""
    return int(_from_string(counts)[1::2].sum())


def compress(counts: Sequence[int], height: int, width: int) -> str:
    """The compressed string of a list of counts, checked."""
    return _to_string(read_counts(counts, height, width))


def _counts_of(mask: Mask) -> Counts:
    flat = np.asarray(mask, dtype=bool).ravel(order="F")
    if flat.size == 0:
        return np.zeros(1, dtype=np.int64)
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate(([0], changes, [flat.size]))
    runs = np.diff(edges).astype(np.int64)
    return np.concatenate(([0], runs)) if flat[0] else runs


def _from_list(counts: Sequence[int]) -> Counts:
    if not all(type(run) is int and 0 <= run < 2**40 for run in counts):
        raise AnnotationError(
            "RLE counts hold something that is not a run length: expected whole numbers from 0"
        )
    return np.array(counts, dtype=np.int64)


def _from_string(text: str) -> Counts:
    try:
        digits = np.frombuffer(text.encode("ascii"), dtype=np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError as error:
        raise AnnotationError(
            "RLE counts hold a character that is not ASCII: the string is damaged"
        ) from error
    if ((digits < 0) | (digits > 63)).any():
        raise AnnotationError("RLE counts hold a character outside '0' to 'o': the string is damaged")
    last = (digits & 32) == 0
    if not digits.size or not last[-1]:
        raise AnnotationError("RLE counts end in the middle of a number: the string is cut off")
    return _undo_differences(_numbers(digits & 31, last))


def _numbers(digits: Counts, last: Mask) -> Counts:
    """Groups of base-32 digits, each up to one that is `last`, as signed numbers."""
    ends = np.flatnonzero(last)
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > _MOST_DIGITS:
        raise AnnotationError("RLE counts hold a number beyond any image: the string is damaged")
    place = np.arange(len(digits)) - np.repeat(starts, lengths)
    values = np.add.reduceat(digits << (5 * place), starts)
    negative = (digits[ends] & 16) != 0
    return values - np.where(negative, np.int64(1) << (5 * lengths), 0)


def _undo_differences(values: Counts) -> Counts:
    runs = values.copy()
    runs[1::2] = np.cumsum(values[1::2])
    runs[2::2] = np.cumsum(values[2::2])
    return runs


def _to_string(runs: Counts) -> str:
    differences = runs.copy()
    differences[3:] -= runs[1:-2]
    return "".join(map(_digits, differences.tolist()))


def _digits(number: int) -> str:
    text = ""
    while True:
        digit, number = number & 31, number >> 5
        done = number == (-1 if digit & 16 else 0)
        text += chr(48 + digit + (0 if done else 32))
        if done:
            return text
