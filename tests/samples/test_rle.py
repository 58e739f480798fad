from __future__ import annotations

import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ldznet_cli.errors import AnnotationError
from ldznet_cli.samples.rle import compress, decode_rle, encode_rle, foreground, read_counts

masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=40))


def test_a_case_worked_by_hand() -> None:
    """Columns first: of [[0, 1], [1, 1]] the runs are 1 off, 3 on."""
    mask = np.array([[False, True], [True, True]])
    assert encode_rle(mask) == {"size": [2, 2], "counts": "13"}
    np.testing.assert_array_equal(decode_rle([1, 3], 2, 2), mask)


@given(masks)
def test_round_trip(mask: np.ndarray) -> None:
    rle = encode_rle(mask)
    np.testing.assert_array_equal(decode_rle(rle["counts"], *rle["size"]), mask)
    assert foreground(rle["counts"]) == mask.sum()
    json.dumps(rle)


@given(masks)
def test_equal_to_pycocotools(mask: np.ndarray) -> None:
    from pycocotools import mask as reference

    theirs = reference.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert encode_rle(mask)["counts"] == theirs["counts"].decode()
    runs = read_counts(encode_rle(mask)["counts"], *mask.shape).tolist()
    uncompressed = reference.frPyObjects({"size": list(mask.shape), "counts": runs}, *mask.shape)
    assert compress(runs, *mask.shape) == uncompressed["counts"].decode()


def test_long_runs_equal_pycocotools() -> None:
    from pycocotools import mask as reference

    mask = np.zeros((3000, 2000), dtype=bool)
    mask[17:2900, 400:1800] = True
    mask[100, ::7] ^= True
    assert (
        encode_rle(mask)["counts"]
        == reference.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    )
    np.testing.assert_array_equal(decode_rle(encode_rle(mask)["counts"], 3000, 2000), mask)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ("14", "cover 5 pixels: expected 4"),
        ("", "end in the middle"),
        ("1S", "end in the middle"),
        ("1 3", "outside '0' to 'o'"),
        ("1é", "not ASCII"),
        ("PPPPPPPP0", "beyond any image"),
        ("L8", "below 0 or beyond the image"),
        ([1, 2], "cover 3 pixels"),
        ([5, -1], "not a run length"),
        ([1, 3.0], "not a run length"),
        ([True, 3], "not a run length"),
        ([10**30], "not a run length"),
        ([], "cover 0 pixels"),
    ],
)
def test_broken_counts(counts: str | list[int], message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        decode_rle(counts, 2, 2)


@settings(max_examples=300)
@given(st.text(max_size=30), st.integers(1, 5), st.integers(1, 5))
def test_any_string_gives_a_mask_or_an_error(counts: str, height: int, width: int) -> None:
    message = refusal(counts, height, width)
    assert message is None or message.startswith("RLE counts ")


def refusal(counts: str, height: int, width: int) -> str | None:
    try:
        mask = decode_rle(counts, height, width)
    except AnnotationError as error:
        return str(error)
    assert mask.shape == (height, width)
    return None


def test_damaged_strings_of_a_real_shape() -> None:
    rng = random.Random(3)
    mask = np.zeros((60, 80), dtype=bool)
    mask[10:40, 20:60] = True
    counts = encode_rle(mask)["counts"]
    outcomes = set()
    for _ in range(1000):
        letters = list(counts)
        letters[rng.randrange(len(letters))] = chr(rng.randrange(33, 127))
        outcomes.add(refusal("".join(letters), 60, 80) is None)
    assert False in outcomes
