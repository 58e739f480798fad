from __future__ import annotations

import collections
import os
import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ldznet_cli.errors import AnnotationError, UsageError
from ldznet_cli.samples.plain_pickle import read_plain_pickle

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda below: st.lists(below) | st.tuples(below, below) | st.dictionaries(st.text(), below),
    max_leaves=25,
)


def read(folder: Path, content: bytes) -> Any:
    path = folder / "refs(unc).p"
    path.write_bytes(content)
    return read_plain_pickle(path)


@given(value=PLAIN, protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
@settings(max_examples=100)
def test_plain_values_come_back(value: Any, protocol: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    shared = [value, value, [value]]
    assert read(tmp_path_factory.mktemp("plain"), pickle.dumps(shared, protocol)) == shared


def test_strings_of_python_2(tmp_path: Path) -> None:
    """As cPickle wrote `['caf\\xc3\\xa9', u'caf\\xe9', 'caf\\xe9', 3L]` with protocol 2, and ASCII with protocol 0."""
    content = b"\x80\x02]q\x01(U\x05caf\xc3\xa9q\x02X\x05\x00\x00\x00caf\xc3\xa9q\x03U\x04caf\xe9q\x04\x8a\x01\x03e."
    assert read(tmp_path, content) == ["café", "café", "café", 3]
    assert read(tmp_path, b"(lp1\nS'left man'\np2\naVcaf\\u00e9\np3\naI01\na(dp4\nS'a'\nL5L\nsa.") == [
        *("left man", "café", True),
        {"a": 5},
    ]


class Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("made-by-the-pickle",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Evil(), "mkdir"),
        (collections.OrderedDict(a=1), "OrderedDict"),
        (complex(1, 2), "complex"),
        (len, "len"),
        (Path, "Path"),
    ],
)
def test_whatever_could_run_is_refused_by_name(
    value: Any, name: str, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AnnotationError, match="it could run code, and is not read") as error:
        read(tmp_path, pickle.dumps([{"a": value}], protocol))
    assert name in str(error.value) or "STACK_GLOBAL" in str(error.value)
    assert not Path("made-by-the-pickle").exists()


def test_broken_bytes(tmp_path: Path) -> None:
    """Cut and changed anywhere: plain values or one line, in no time and with no memory."""
    whole = pickle.dumps([{"a": [1, 2.5, "three"], "b": None}, ("x", {"y": [True]})] * 3, 2)
    for place in range(len(whole)):
        for broken in (
            whole[:place],
            whole[:place] + b"\xff" + whole[place + 1 :],
            whole[:place] + whole[place + 1 :],
        ):
            with suppress(AnnotationError):
                read(tmp_path, broken)
    huge = b"\x80\x02X\xff\xff\xff\x7fabc."
    memo = b"\x80\x02]r\xff\xff\xff\xffe."
    for content in (b"", b"hello", huge, memo, b"\x80\x04\x8d" + b"\xff" * 8 + b"."):
        with pytest.raises(AnnotationError, match="damaged, or not a pickle"):
            read(tmp_path, content)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_plain_pickle(tmp_path / "none.p")
