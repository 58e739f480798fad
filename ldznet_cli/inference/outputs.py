"""Where the files of a run go: OUT/<image's name without suffix>/<label>.png and what lies beside it."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path, PurePosixPath

from ldznet_cli.config import MASK_NAME
from ldznet_cli.errors import UsageError
from ldznet_cli.inference.formats import Answer, ImageFormat, MaskFormat, MaskPng, ProbPng, RunFormat
from ldznet_cli.inference.prompts import Prompt, Task, slug
from ldznet_cli.samples.atomic import write_atomically
from ldznet_cli.samples.images import shown

RECORDS, FAILED, MANIFEST = "records.jsonl", "failed.jsonl", "run.json"

_FIELDS = ("image", "folder", "stem", "label")


@dataclass(frozen=True)
class Paths:
    """The files of one (image, label), by their format."""

    files: Mapping[str, Path]

    def get(self, name: str) -> str | None:
        """The path as records tell it; None where this format is not written."""
        return str(self.files[name]) if name in self.files else None

    def whole(self) -> bool:
        """Whether each of them is there, from its first bytes to its last."""
        return all(map(is_whole, self.files.values()))


@dataclass(frozen=True)
class OutputPlan:
    """What is written, and where: formats of a mask, of an image and of the run; `rle` puts masks into records.

    `name` is a mask's path below OUT without suffix: {image} is the image's path without suffix, {folder} and {stem}
    are its two halves, {label} is the mask's label. Raises UsageError for a name that can't be.
    """

    out: Path
    masks: Sequence[MaskFormat] = (MaskPng(), ProbPng())
    images: Sequence[ImageFormat] = ()
    runs: Sequence[RunFormat] = ()
    rle: bool = False
    name: str = MASK_NAME

    def __post_init__(self) -> None:
        unknown = [field for field in re.findall(r"\{(.*?)\}", self.name) if field not in _FIELDS]
        if unknown or not self.name.strip("/"):
            raise UsageError(
                f"the name {self.name!r} holds {{{unknown[0] if unknown else ''}}}: known are "
                + ", ".join(f"{{{field}}}" for field in _FIELDS)
            )

    @property
    def formats(self) -> tuple[str, ...]:
        """The names of all that is written."""
        names = [made.name for made in self.masks] + [made.name for made in self.images]
        return (*names, *(made.name for made in self.runs))

    @property
    def own(self) -> tuple[str, ...]:
        """The files, below OUT, that tell of the run as a whole; FAILED where there are failures."""
        beside = chain.from_iterable(made.beside() for made in self.images)
        whole = chain.from_iterable(made.files for made in self.runs)
        return (RECORDS, FAILED, MANIFEST, *beside, *whole)

    def paths(self, image: str, prompt: Prompt) -> Paths:
        """The files of the masks of the image called so."""
        stem = named(self.name, image, prompt.label)
        return Paths({made.name: self.out / f"{stem}{made.suffix}" for made in self.masks})

    def image_paths(self, image: str) -> Paths:
        """The files that tell of the image as a whole."""
        stem = PurePosixPath(image).with_suffix("")
        return Paths({made.name: self.out / made.folder / f"{stem}{made.suffix}" for made in self.images})

    def check(self, tasks: Sequence[Task]) -> None:
        """Raises UsageError, before anything is done, when two results would have the same file, leave OUT, or be
        written over one of the images."""
        taken: dict[Path, str] = {self.out / name: f"OUT's own {name}" for name in self.own}
        folders: dict[Path, str] = {}
        for task in tasks:
            source = str(task.image.path)
            _check_name(task.image.name)
            for path, owner in self._claims(task):
                _claim(taken, path, source, owner)
                folders.update(dict.fromkeys(path.parents, source))
        for path in taken.keys() & folders.keys():
            raise UsageError(
                f"{taken[path].partition(': ')[0]} and {folders[path]} would both be {path}: rename one of them"
            )
        self._spare_images(taken, tasks)

    def write(self, paths: Paths, answer: Answer) -> None:
        """Each file whole or not at all. Raises DiskFull, LdznetError."""
        for made in self.masks:
            write_atomically(paths.files[made.name], made.encode(answer))

    def _spare_images(self, taken: Mapping[Path, str], tasks: Sequence[Task]) -> None:
        real = cache(os.path.realpath)  # folders are far fewer than images
        for path in (task.image.path for task in tasks):
            there, home = Path(real(path.parent), path.name), real(self.out)
            if there.is_relative_to(home) and (owner := taken.get(self.out / there.relative_to(home))):
                raise UsageError(
                    f"{shown(path)} is one of the images, and results of {owner.partition(': ')[0]} would be written "
                    "over it: give another --out, or remove it if an earlier run has left it there"
                )

    def _claims(self, task: Task) -> Iterator[tuple[Path, str]]:
        """Each file with the (image, label) whose it is."""
        for path in self.image_paths(task.image.name).files.values():
            yield path, ""
        for prompt in task.prompts:
            for path in reversed([*self.paths(task.image.name, prompt).files.values()]):
                yield path, prompt.label  # the last one written, the mask, is the one to tell of


def named(name: str, image: str, label: str) -> str:
    """A path below OUT, without suffix, of `OutputPlan.name`. Raises UsageError for one that leaves OUT."""
    path = PurePosixPath(image).with_suffix("")
    folder = "" if path.parent == PurePosixPath(".") else str(path.parent)
    values = {"image": str(path), "folder": folder, "stem": path.name, "label": slug(label)}
    filled = re.sub(r"\{(.*?)\}", lambda field: values[field[1]], name).lstrip("/")
    _check_name(filled)
    return filled


def is_whole(path: Path) -> bool:
    """Whether a file of ours is there from its first bytes to its last. (Text is written in one piece: it is there.)"""
    ends = {
        ".png": (b"\x89PNG", b"IEND\xaeB`\x82"),
        ".jpg": (b"\xff\xd8", b"\xff\xd9"),
        ".json": (b"{", b"}\n"),
        ".txt": (b"", b""),
    }
    first, last = ends[path.suffix]
    try:
        with path.open("rb") as file:
            start = file.read(len(first))
            file.seek(-len(last), io.SEEK_END)
            return start == first and file.read() == last
    except OSError:
        return False


def _check_name(name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.stem:
        raise UsageError(f"the image name {name!a} leads out of the output folder: name its folder instead")


def _claim(taken: dict[Path, str], path: Path, source: str, label: str) -> None:
    owner = f"{source}: {label}"
    other = taken.setdefault(path, owner)
    if other != owner:
        first = other.partition(": ")[0]
        advice = (
            "put {label} into --name"
            if first == source
            else "rename one of them, or segment them into two --out"
        )
        raise UsageError(f"{first} and {source} would both be {path}: {advice}")
