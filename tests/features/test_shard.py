"""A shard is a part of a partition that the content of images alone decides."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldznet_cli.errors import UsageError
from ldznet_cli.features import Shard


@given(st.lists(st.binary(), min_size=1), st.integers(1, 70))
def test_every_image_is_in_exactly_one_shard(contents: list[bytes], count: int) -> None:
    shards = [Shard.parse(f"{number}/{count}") for number in range(1, count + 1)]
    for content in contents:
        sha256 = hashlib.sha256(content).hexdigest()
        assert sum(shard.holds(sha256) for shard in shards) == 1


def test_shards_are_about_equal_and_never_change() -> None:
    names = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(2000)]
    counts = [sum(Shard(number, 8).holds(name) for name in names) for number in range(1, 9)]
    assert all(200 < count < 300 for count in counts)
    assert [Shard(number, 3).holds("ff" * 32) for number in (1, 2, 3)] == [True, False, False]


@pytest.mark.parametrize("text", ["0/8", "9/8", "1/0", "", "3", "a/b", "1/2/3", "-1/8", "1.0/8", "٣/8"])
def test_what_is_no_shard(text: str) -> None:
    with pytest.raises(UsageError, match="expected I/N, the parts counted from 1"):
        Shard.parse(text)


def test_each_shard_has_a_list_of_failures_of_its_own() -> None:
    assert Shard().of("failed.jsonl") == "failed.jsonl"
    assert Shard(3, 8).of("failed.jsonl") == "failed.3-of-8.jsonl"
    assert Path(Shard(3, 8).of("failed.jsonl")).suffix == ".jsonl"
