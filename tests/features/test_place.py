"""Places: the same behaviour in a folder, in fsspec's memory and on S3 over HTTP."""

from __future__ import annotations

import pickle
import secrets
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ldznet_cli.errors import CacheError, CacheUnreachable, LdznetError, UsageError
from ldznet_cli.features.folder import Folder
from ldznet_cli.features.locate import place_of
from ldznet_cli.features.place import Place
from ldznet_cli.features.remote import Remote
from tests.faults.scene import ended, forked


@pytest.fixture(params=["folder", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return place_of(tmp_path / "cache")
    if request.param == "memory":
        return place_of(f"memory://{secrets.token_hex(4)}/cache")
    return place_of(request.getfixturevalue("bucket") + "/deep/cache")


def test_what_is_written_is_there(place: Place) -> None:
    assert not place.exists()
    place.write("objects/ab/one.safetensors", b"0123456789")
    assert place.exists()
    assert place.read("objects/ab/one.safetensors") == bytearray(b"0123456789")
    assert place.start("objects/ab/one.safetensors", 4) == b"0123"
    assert place.start("objects/ab/one.safetensors", 40) == b"0123456789"
    assert place.size("objects/ab/one.safetensors") == 10
    place.write("objects/ab/one.safetensors", b"new")
    assert place.read("objects/ab/one.safetensors") == b"new"


def test_an_empty_file_is_a_file(place: Place) -> None:
    place.write("empty", b"")
    assert (place.read("empty"), place.start("empty", 8), place.size("empty")) == (b"", b"", 0)


def test_what_is_not_there_is_not_found(place: Place) -> None:
    for look in (place.read, place.size, lambda name: place.start(name, 8)):
        with pytest.raises(FileNotFoundError):
            look("objects/ab/none")
    place.delete("objects/ab/none")
    assert list(place.entries("objects")) == []
    assert place.sweep() == 0


def test_entries_are_listed_with_size_and_time(place: Place) -> None:
    began = time.time()
    for name in ("objects/cd/2", "objects/ab/1", "objects/ab/0", "manifests/m.json"):
        place.write(name, b"x" * len(name))
    found = list(place.entries("objects"))
    assert [(entry.name, entry.bytes) for entry in found] == [
        ("objects/ab/0", 12),
        ("objects/ab/1", 12),
        ("objects/cd/2", 12),
    ]
    assert all(began - 2 <= entry.modified <= time.time() + 2 for entry in found)
    assert [entry.name for entry in place.entries("manifests")] == ["manifests/m.json"]
    place.delete("objects/ab/1")
    assert [entry.name for entry in place.entries("objects")] == ["objects/ab/0", "objects/cd/2"]


def test_a_forked_process_and_a_pickled_place_open_their_own_connection(place: Place) -> None:
    place.write("a", b"1")

    def read() -> None:
        assert place.read("a") == b"1"

    assert ended(forked(read)) == 0
    again = pickle.loads(pickle.dumps(place))
    assert again.shown() == place.shown()
    assert again.read("a") == b"1"


def test_what_a_path_or_url_names(tmp_path: Path) -> None:
    assert place_of(tmp_path) == place_of(str(tmp_path)) == place_of(f"file://{tmp_path}") == Folder(tmp_path)
    assert place_of(Folder(tmp_path)) == Folder(tmp_path)
    assert place_of("memory://a/b/").shown("objects/x") == "memory://a/b/objects/x"
    assert place_of("memory://a/b/").free_bytes() is None
    assert 0 < Folder(tmp_path / "none").free_share() < 1


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense://a/b", "nonsense:// cannot be read here"),
        ("gs://b/c", "gcsfs"),
        ("ftp://host/cache", "ftp:// cannot be read here: .*host"),
    ],
)
def test_a_url_that_nothing_can_read(url: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        place_of(url)


def test_the_extra_is_named_where_the_driver_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    def missing(*_: object, **__: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "filesystem", missing)
    with pytest.raises(UsageError, match=r"s3://b/c: s3:// .*pip install 'ldznet-cli\[s3\]'"):
        place_of("s3://b/c")


def test_a_bucket_that_is_not_there(bucket: str) -> None:
    place = place_of("s3://no-such-bucket/cache")
    assert not place.exists()
    assert list(place.entries("objects")) == []
    with pytest.raises(
        CacheError, match=r"s3://no-such-bucket/cache/x cannot be written .* make the bucket first"
    ):
        place.write("x", b"")


@pytest.mark.parametrize(
    "call",
    [
        lambda place: place.read("x"),
        lambda place: place.write("x", b""),
        lambda place: list(place.entries("objects")),
    ],
    ids=["read", "write", "entries"],
)
def test_what_a_driver_complains_of_is_one_line(
    monkeypatch: pytest.MonkeyPatch, call: Callable[[Place], object]
) -> None:
    place = Remote("memory://a")

    def out_of_reach(*_: object, **__: object) -> None:
        raise RuntimeError("no route\nto host")

    for name in ("cat_file", "pipe_file", "ls"):
        monkeypatch.setattr(place._open(), name, out_of_reach, raising=False)
    with pytest.raises(
        CacheUnreachable, match=r"memory://a.* cannot be reached: no route to host; check the URL"
    ):
        call(place)


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LdznetError, match="cannot be written"):
        Folder(tmp_path / "file").write("x", b"")
