"""Where the files of a run go: OUT/<image's name without suffix>/<label>.png and what lies beside it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ldznet_cli.errors import UsageError
from ldznet_cli.inference.decision import Decision
from ldznet_cli.inference.prompts import Prompt, Task, slug
from ldznet_cli.samples.atomic import write_atomically
from ldznet_cli.samples.masks import write_mask, write_prob

RECORDS, FAILED, MANIFEST = "records.jsonl", "failed.jsonl", "run.json"

Drawer = Callable[[Image.Image, NDArray[np.bool_], str], Image.Image]
"""(image, mask, label) → the picture for the eye. Colours are the business of whoever gives it."""

_JPEG_QUALITY = 90


@dataclass(frozen=True)
class Paths:
    """The files of one (image, label); `overlay` is None where none is drawn."""

    mask: Path
    prob: Path
    overlay: Path | None

    def all(self) -> Iterator[Path]:
        """Those that there are to be."""
        yield from (path for path in (self.mask, self.prob, self.overlay) if path is not None)

    def whole(self) -> bool:
        """Whether each of them is there, from its first bytes to its last."""
        return all(map(_is_whole, self.all()))


@dataclass(frozen=True)
class OutputPlan:
    """What is written, and where. `draw` makes the overlays, None leaves them out; `rle` puts masks into records."""

    out: Path
    draw: Drawer | None = None
    rle: bool = False

    def paths(self, name: str, prompt: Prompt) -> Paths:
        """The files for the image called `name`, mirrored below OUT."""
        folder = self.out / PurePosixPath(name).with_suffix("")
        stem = slug(prompt.label)
        overlay = folder / f"{stem}.overlay.jpg" if self.draw else None
        return Paths(folder / f"{stem}.png", folder / f"{stem}.prob.png", overlay)

    def check(self, tasks: Sequence[Task]) -> None:
        """Raises UsageError, before anything is done, when two results would have the same file, or leave OUT."""
        taken: dict[Path, str] = {
            self.out / name: f"OUT's own {name}" for name in (RECORDS, FAILED, MANIFEST)
        }
        folders: dict[Path, str] = {}
        for task in tasks:
            source = str(task.image.path)
            _check_name(task.image.name)
            for prompt in task.prompts:
                for path in self.paths(task.image.name, prompt).all():
                    _claim(taken, path, source)
                    folders.update(dict.fromkeys(path.parents, source))
        for path in taken.keys() & folders.keys():
            raise UsageError(f"{taken[path]} and {folders[path]} would both be {path}: rename one of them")

    def write(self, paths: Paths, image: Image.Image, decision: Decision, label: str) -> None:
        """Each file whole or not at all. Raises DiskFull, LdznetError."""
        write_prob(paths.prob, decision.prob)
        if self.draw is not None and paths.overlay is not None:
            buffer = io.BytesIO()
            drawn = self.draw(image, decision.mask, label)
            drawn.save(buffer, format="JPEG", quality=_JPEG_QUALITY, subsampling=0)
            write_atomically(paths.overlay, buffer.getvalue())
        write_mask(paths.mask, decision.mask)


def _check_name(name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.stem:
        raise UsageError(f"the image name {name!a} leads out of the output folder: name its folder instead")


def _claim(taken: dict[Path, str], path: Path, source: str) -> None:
    other = taken.setdefault(path, source)
    if other != source:
        raise UsageError(
            f"{other} and {source} would both be {path}: rename one of them, or segment them into two --out"
        )


def _is_whole(path: Path) -> bool:
    ends = {".png": (b"\x89PNG", b"IEND\xaeB`\x82"), ".jpg": (b"\xff\xd8", b"\xff\xd9")}
    first, last = ends[path.suffix]
    try:
        with path.open("rb") as file:
            start = file.read(len(first))
            file.seek(-len(last), io.SEEK_END)
            return start == first and file.read() == last
    except OSError:
        return False
