"""Which images are meant: folders, files and globs become a sorted list of `ImageRef`."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO

from ldznet_cli.errors import NothingToDo, UsageError
from ldznet_cli.samples.view import WHOLE, View

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"})
"""What counts as an image inside a folder or a glob, in any case. A file that is named is taken as it is."""


VIDEO_SUFFIXES = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"),
        *(".flv", ".ogv", ".wmv", ".3gp"),
    }
)
"""What counts as a video, in any case."""


@dataclass(frozen=True, order=True)
class Frame:
    """A frame of a video: its number among those that can be decoded, and its time in seconds, both 0 for the first."""

    index: int
    time: float


@dataclass(frozen=True, order=True)
class ImageRef:
    """One image: where its file is, and its `name`, the path inside its source (with `/`), under which outputs go.

    `view` is the part of it that is meant; where the file is a video, `frame` says which of its images.
    """

    path: Path
    name: str
    view: View = WHOLE
    frame: Frame | None = None


def list_images(
    sources: Iterable[str | os.PathLike[str]],
    *,
    recursive: bool = True,
    exclude: Sequence[str] = (),
    videos: bool = False,
) -> list[ImageRef]:
    """The images of folders, files and globs: sources in the order given, each sorted by name, none twice.

    Folders are searched for `SUFFIXES`, hidden files and linked folders left alone. A file's name is its path below
    the folder that all single files have in common, so `a/1.jpg b/1.jpg` keep their tree. A glob's names begin after
    its fixed part. `exclude` holds patterns such as `*.gif` or `thumbs/*`, matched with the whole name and with
    each of its parts. With `videos` a glob finds these, too; folders are never searched for them.

    Raises UsageError for a source that does not exist and for a folder that cannot be read (one that is excluded
    need not), NothingToDo when no image is left.
    """
    named = [os.fspath(source) for source in sources]
    root = _common_folder([source for source in named if Path(source).is_file()])
    found: dict[str, ImageRef] = {}
    left_out = 0
    for source in named:
        for ref in _images_of(source, root, recursive, videos, exclude):
            if _excluded(ref.name, exclude):
                left_out += 1
            else:
                found.setdefault(os.path.realpath(ref.path), ref)
    if left_out and not found:
        raise NothingToDo(f"--exclude leaves out all {left_out} images of {_named(named)}")
    if not found:
        raise NothingToDo(_nothing(named, videos))
    return list(found.values())


def read_list(stream: BinaryIO, nul: bool = False) -> list[str]:
    """The paths on a stream, one a line (or NUL-separated, as of `find -print0`), empty ones left out."""
    entries = stream.read().split(b"\0" if nul else b"\n")
    paths = (os.fsdecode(entry if nul else entry.removesuffix(b"\r")) for entry in entries)
    return [path for path in paths if path]


def _images_of(
    source: str, root: Path, recursive: bool, videos: bool, exclude: Sequence[str]
) -> list[ImageRef]:
    path = Path(source)
    if "\0" in source:
        raise UsageError(f"{source!a} is not a path: lists separated by NUL are read with -0")
    if path.is_dir():
        return sorted(_walk(path, recursive, exclude), key=lambda ref: ref.name)
    if path.exists():
        return [ImageRef(path, Path(os.path.abspath(path)).relative_to(root).as_posix())]  # noqa: PTH100 (lexical)
    if glob.has_magic(source):
        return _matches(source, recursive, SUFFIXES | VIDEO_SUFFIXES if videos else SUFFIXES)
    raise UsageError(f"{ascii(source)[1:-1]} does not exist: name an image, a folder or a quoted glob")


def _walk(folder: Path, recursive: bool, exclude: Sequence[str]) -> Iterator[ImageRef]:
    def refuse(error: OSError) -> None:
        below = Path(error.filename).relative_to(folder).as_posix()
        if not _excluded(below, exclude):
            raise UsageError(
                f"{ascii(error.filename)[1:-1]}: the folder cannot be read ({error.strerror}): make it readable, or "
                "leave it out by --exclude"
            ) from error

    for here, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if recursive and not name.startswith(".")]
        for name in files:
            path = Path(here, name)
            if path.suffix.lower() in SUFFIXES and not name.startswith("."):
                yield ImageRef(path, path.relative_to(folder).as_posix())


def _matches(pattern: str, recursive: bool, suffixes: Set[str]) -> list[ImageRef]:
    fixed = Path(*_before_magic(Path(pattern).parts))
    paths = [Path(match) for match in glob.glob(pattern, recursive=recursive)]  # noqa: PTH207 (absolute patterns too)
    images = [path for path in paths if path.suffix.lower() in suffixes and path.is_file()]
    return sorted(
        (ImageRef(path, path.relative_to(fixed).as_posix()) for path in images), key=lambda r: r.name
    )


def _before_magic(parts: Sequence[str]) -> Iterator[str]:
    for part in parts:
        if glob.has_magic(part):
            return
        yield part


def _common_folder(files: Sequence[str]) -> Path:
    """The deepest folder that holds all of these files; lexical, so that a link keeps the name it was given."""
    folders = [os.path.dirname(os.path.abspath(file)) for file in files]  # noqa: PTH100, PTH120
    return Path(os.path.commonpath(folders)) if folders else Path()


def _excluded(name: str, patterns: Sequence[str]) -> bool:
    parts = name.split("/")
    return any(fnmatchcase(text, pattern) for pattern in patterns for text in (name, *parts))


def _nothing(sources: Sequence[str], videos: bool) -> str:
    for folder in (Path(source) for source in sources if videos and Path(source).is_dir()):
        film = next((path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES), None)
        if film is not None:
            return (
                f"no image found in {_named(sources)}, but videos: name them, as in "
                f"{str(film.parent / f'*{film.suffix}')!a}"
            )
    return f"no image found in {_named(sources)}: looked for {', '.join(sorted(SUFFIXES))}"


def _named(sources: Sequence[str]) -> str:
    shown = ", ".join(ascii(source)[1:-1] for source in sources[:3]) or "an empty list"
    return shown + (f" and {len(sources) - 3} more" if len(sources) > 3 else "")
