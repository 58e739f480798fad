from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from ldznet_cli.errors import NothingToDo, UsageError
from ldznet_cli.samples.listing import ImageRef, list_images, read_list

FILES = [
    "b.JPG",
    "a.png",
    "note.txt",
    ".hidden.png",
    "sub/c.webp",
    "sub/deep/d.tiff",
    ".git/e.png",
    "thumbs/a.png",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"x")
    return tmp_path / "in"


def names(refs: list[ImageRef]) -> list[str]:
    return [ref.name for ref in refs]


def test_a_folder_is_searched_in_order(folder: Path) -> None:
    refs = list_images([folder])
    assert names(refs) == ["a.png", "b.JPG", "sub/c.webp", "sub/deep/d.tiff", "thumbs/a.png"]
    assert refs[2].path == folder / "sub" / "c.webp"


def test_not_recursive(folder: Path) -> None:
    assert names(list_images([folder], recursive=False)) == ["a.png", "b.JPG"]


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        (["*.png"], ["b.JPG", "sub/c.webp", "sub/deep/d.tiff"]),
        (["thumbs", "deep"], ["a.png", "b.JPG", "sub/c.webp"]),
        (["sub/*"], ["a.png", "b.JPG", "thumbs/a.png"]),
    ],
)
def test_exclude(folder: Path, exclude: list[str], left: list[str]) -> None:
    assert names(list_images([folder], exclude=exclude)) == left


def test_files_keep_the_tree_below_what_they_share(folder: Path) -> None:
    assert names(list_images([folder / "b.JPG"])) == ["b.JPG"]
    assert names(list_images([folder / "sub/c.webp", folder / "thumbs/a.png"])) == [
        "sub/c.webp",
        "thumbs/a.png",
    ]
    assert names(list_images([folder / "note.txt"])) == ["note.txt"]


def test_relative_paths_stay_relative(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert list_images(["sub/../a.png"]) == [ImageRef(Path("sub/../a.png"), "a.png")]
    assert list_images(["sub"])[0] == ImageRef(Path("sub/c.webp"), "c.webp")
    assert list_images(["*.png"]) == [ImageRef(Path("a.png"), "a.png")]


def test_globs(folder: Path) -> None:
    assert names(list_images([f"{folder}/*.png"])) == ["a.png"]
    assert names(list_images([f"{folder}/**/*.*"])) == names(list_images([folder]))
    assert names(list_images([f"{folder}/s*/[c-d].webp"])) == ["sub/c.webp"]


def test_a_file_whose_name_looks_like_a_glob(folder: Path) -> None:
    (folder / "x[1].png").write_bytes(b"x")
    assert names(list_images([folder / "x[1].png"])) == ["x[1].png"]


def test_nothing_comes_twice(folder: Path) -> None:
    (folder / "zlink.png").symlink_to(folder / "a.png")
    refs = list_images([folder / "a.png", folder, f"{folder}/*.png"])
    assert names(refs) == ["a.png", "b.JPG", "sub/c.webp", "sub/deep/d.tiff", "thumbs/a.png"]


def test_linked_folders_inside_are_left_alone(folder: Path) -> None:
    (folder / "loop").symlink_to(folder)
    assert len(list_images([folder])) == 5
    assert len(list_images([folder / "loop"])) == 5


def test_missing_and_empty(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere does not exist"):
        list_images([folder / "nowhere"])
    (folder / "empty").mkdir()
    with pytest.raises(NothingToDo, match=r"no image found in .*empty"):
        list_images([folder / "empty"])
    with pytest.raises(NothingToDo):
        list_images([f"{folder}/*.gif"])
    with pytest.raises(NothingToDo, match="an empty list"):
        list_images([])
    with pytest.raises(UsageError, match="read with -0"):
        list_images(["a.png\0b.png"])


def test_lists_on_a_stream() -> None:
    assert read_list(io.BytesIO(b"a b.png\r\n\nc.png")) == ["a b.png", "c.png"]
    assert read_list(io.BytesIO(b"a\nb.png\0c.png\0"), nul=True) == ["a\nb.png", "c.png"]
    odd = os.fsencode(read_list(io.BytesIO(b"\xff.png\n"))[0])
    assert odd == b"\xff.png"


def test_a_folder_that_cannot_be_read_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its images would be missing from the results, and nobody would know."""
    scandir = os.scandir

    def refuse(path: str) -> object:
        if Path(path).name == "deep":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    with monkeypatch.context() as closed:
        closed.setattr(os, "scandir", refuse)
        with pytest.raises(
            UsageError, match=r"in/sub/deep: .* cannot be read \(Permission denied\).*--exclude"
        ):
            list_images([folder])
        for exclude in ("deep", "sub/deep"):
            left = names(list_images([folder], exclude=[exclude]))
            assert left == ["a.png", "b.JPG", "sub/c.webp", "thumbs/a.png"]
