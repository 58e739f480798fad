"""Objects as bytes: valid safetensors, the same every time, and no damage goes unseen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load

from ldznet_cli.errors import CacheError
from ldznet_cli.features.objects import from_bytes, header_of, size_of, to_bytes

KEY = {"kind": "features", "image": "ab" * 32, "prompt": "a lamp.", "blocks": [5, 6]}
MADE = {"batch": 8, "threads": 2}
TENSORS = {
    "5": torch.arange(24, dtype=torch.float16).reshape(2, 3, 4),
    "6": torch.arange(5, dtype=torch.float32),
    "7": torch.arange(3, dtype=torch.int8),
    "8": torch.arange(3, dtype=torch.bfloat16),
}
DATA = to_bytes(KEY, MADE, TENSORS)


def test_round_trip() -> None:
    found = from_bytes(bytearray(DATA))
    assert (found.key, found.made) == (KEY, MADE)
    assert found.tensors.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        assert found.tensors[name].dtype == value.dtype
        assert torch.equal(found.tensors[name], value)


def test_an_object_is_an_ordinary_safetensors_file(tmp_path: Path) -> None:
    assert {name: value.tolist() for name, value in load(DATA).items()} == {
        name: value.tolist() for name, value in TENSORS.items()
    }
    path = tmp_path / "object.safetensors"
    path.write_bytes(DATA)
    with safe_open(path, framework="pt") as opened:
        assert list(opened.metadata()) == ["ldznet"]
        assert json.loads(opened.metadata()["ldznet"])["key"] == KEY


def test_the_same_object_is_the_same_bytes_whatever_the_order_of_its_tensors() -> None:
    assert to_bytes(KEY, MADE, dict(reversed(TENSORS.items()))) == DATA


@given(st.integers(0, 8 * len(DATA) - 1))
def test_no_flipped_bit_goes_unseen(bit: int) -> None:
    damaged = bytearray(DATA)
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ValueError, match=r"."):
        from_bytes(damaged)


@given(st.integers(0, len(DATA) - 1))
def test_no_truncation_goes_unseen(length: int) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_bytes(bytearray(DATA[:length]))


def test_longer_than_it_should_be() -> None:
    with pytest.raises(ValueError, match="its header says"):
        from_bytes(bytearray(DATA + b"\0"))


def test_the_header_alone_tells_the_size() -> None:
    begin, header = header_of(DATA)
    assert size_of(begin, header) == len(DATA)
    assert begin % 8 == 0


def test_a_foreign_safetensors_file_is_refused() -> None:
    from safetensors.torch import save

    for metadata in (None, {"format": "pt"}):
        with pytest.raises(ValueError, match=r"not one of ours|ldznet|JSON|Expecting"):
            from_bytes(bytearray(save(TENSORS, metadata=metadata)))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_not_written(bad: float) -> None:
    with pytest.raises(CacheError, match=r"'a lamp.': tensor 5 is not finite in float16.*--storage-dtype"):
        to_bytes(KEY, MADE, {"5": torch.tensor([0.0, bad, 1.0], dtype=torch.float16)})
