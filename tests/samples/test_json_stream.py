from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ldznet_cli.errors import AnnotationError, UsageError
from ldznet_cli.samples import json_stream
from ldznet_cli.samples.json_stream import json_entries

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda below: st.lists(below) | st.dictionaries(st.text(), below),
    max_leaves=20,
)


@pytest.fixture(scope="module", autouse=True)
def small_pieces() -> Any:
    """Every value is cut somewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "_PIECE", 3)
        yield


def entries(folder: Path, text: str) -> list[tuple[str, Any]]:
    path = folder / "file.json"
    path.write_text(text, encoding="utf-8")
    return list(json_entries(path))


@given(values=st.lists(JSON), indent=st.sampled_from([None, 1]))
@settings(max_examples=60)
def test_a_list_comes_entry_by_entry(
    values: list[Any], indent: int | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("list")
    for ascii_only in (True, False):
        text = json.dumps(values, indent=indent, ensure_ascii=ascii_only)
        if "\\ud" in text or any(0xD800 <= ord(letter) < 0xE000 for letter in text):
            continue
        assert entries(folder, text) == [("", value) for value in values]


def test_an_object_comes_list_by_list(tmp_path: Path) -> None:
    text = '\ufeff {"info": {"a": [1]}, "images" : [ {"id": 1} , 2.5e3, -12 ], "empty": [], "n": 123456 } \n'
    assert entries(tmp_path, text) == [
        ("info", {"a": [1]}),
        ("images", {"id": 1}),
        ("images", 2500.0),
        ("images", -12),
        ("n", 123456),
    ]
    assert entries(tmp_path, "{}") == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "at its start (expected a list or an object)"),
        ("hello", "at its start (expected a list or an object)"),
        ("[1, 2", "in entry 1"),
        ('[1, {"a": [', "in entry 1"),
        ('[1, "half', "in entry 1 (Unterminated string"),
        ("[1 2]", "in entry 0"),
        ("[1,]", "in entry 1"),
        ("[NaN]", "NaN is not a JSON number"),
        ("[1] []", "something follows"),
        ('{"images": [1, x]}', "in images, entry 1"),
        ('{"images" 1}', "expected a name and ':'"),
        ("{1: 2}", "expected a name and ':'"),
        ("[" + "[" * 100_000, "in entry 0"),
        ("[" + "9" * 5000 + "]", "in entry 0"),
    ],
)
def test_what_is_no_json(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(AnnotationError) as error:
        entries(tmp_path, text)
    assert reason in str(error.value)
    assert "file.json: not JSON" in str(error.value)


def test_a_fault_is_found_without_reading_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken entry at the start of a large file: memory stays that of a piece."""
    monkeypatch.setattr(json_stream, "_PIECE", 100)
    path = tmp_path / "file.json"
    path.write_text('[{"a": 1 "b": 2}, ' + "1, " * 10_000 + "1]")
    with path.open() as file:
        reader = json_stream._Reader(file, path)
        with pytest.raises(AnnotationError):
            list(reader.entries())
    assert len(reader._text) <= 200


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        list(json_entries(tmp_path / "none.json"))
    (tmp_path / "latin.json").write_bytes(b'["\xe9"]')
    with pytest.raises(AnnotationError, match="not UTF-8"):
        list(json_entries(tmp_path / "latin.json"))
