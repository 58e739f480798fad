"""From the arguments of `ldznet segment` to its tasks: which images, and what is asked of each."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from ldznet_cli.cli import console, options
from ldznet_cli.errors import NothingToDo, UsageError

if TYPE_CHECKING:
    from ldznet_cli.inference import Task
    from ldznet_cli.samples.listing import ImageRef
    from ldznet_cli.samples.record import Record
    from ldznet_cli.samples.video import Scan


@dataclass(frozen=True)
class Asked:
    """The arguments that say which images are meant, and what is asked of each."""

    sources: Sequence[Path] = ()
    recursive: bool = True
    exclude: Sequence[str] = ()
    nul: bool = False
    prompts: Sequence[str] = ()
    prompts_file: Path | None = None
    negatives: Sequence[str] = ()
    prompts_from: Path | None = None
    images: Path | None = None
    groups: Path | None = None
    every: int = 1
    fps: float | None = None
    smooth: int = 1
    formats: Sequence[str] = ()

    @property
    def rate(self) -> Fraction | None:
        """--fps, as exact as it was typed."""
        return None if self.fps is None else Fraction(str(self.fps))

    @property
    def in_time(self) -> bool:
        """Whether the order of images is one in time."""
        return self.every > 1 or self.smooth > 1 or any(name.startswith("video") for name in self.formats)


def tasks_of(asked: Asked, out: Path) -> list[Task]:
    """Every image, and every frame of a video, with what it is asked for.

    Raises UsageError and PromptError for what makes no sense, NothingToDo when there is no image or no phrase,
    AnnotationError.
    """
    from ldznet_cli.inference.clips import Thinning, in_time, reach_of, with_frames

    if asked.every > 1 and asked.fps is not None:
        raise UsageError("--every and --fps exclude each other: both say which frames are taken")
    reach_of(asked.smooth)  # before a video is looked through
    thinning = Thinning(asked.every, asked.rate)
    tasks = with_frames(_tasks(asked, out), thinning, _looked_through)
    return in_time(tasks, thinning) if asked.in_time else tasks


def _looked_through(path: Path) -> Scan:
    """A video is decoded once before anything is done: then its frames are known, and what is broken of it."""
    from ldznet_cli.samples.video import scan

    with console.progress(None, "frames looked through") as shown:
        found = scan(path, shown.advance)
    seconds = found.frames[-1].time + float(1 / found.rate)
    console.say(f"ldznet: {path}: {len(found.frames)} frames, {seconds:.1f} s")
    return found


def _tasks(asked: Asked, out: Path) -> list[Task]:
    from ldznet_cli.inference import Task, prompts_of
    from ldznet_cli.inference.prompt_files import is_rows, read_prompts

    texts = [*asked.prompts, *(read_prompts(asked.prompts_file) if asked.prompts_file else ())]
    if texts and asked.prompts_from is not None:
        raise UsageError("--prompt and --prompts-from exclude each other: phrases come from one of them")
    if asked.prompts_from is not None:
        _refuse_listing(asked)
        return _rows(asked) if is_rows(asked.prompts_from) else _annotated(asked)
    if asked.images is not None or asked.groups is not None:
        raise UsageError(
            "--images and --groups belong to --prompts-from; without it, name the images themselves"
        )
    if not asked.sources:
        raise UsageError("no images: name files or folders and --prompt, or annotations with --prompts-from")
    if not texts:
        raise UsageError(
            'no phrases: give --prompt "red lamp" (it may be repeated), --prompts or --prompts-from'
        )
    prompts = prompts_of(texts, asked.negatives)
    return [Task(image, prompts) for image in _listed(asked, out)]


def _refuse_listing(asked: Asked) -> None:
    """Raises UsageError for what says how sources are searched, where a file says which images there are."""
    given = {"--exclude": asked.exclude, "--no-recursive": not asked.recursive, "-0": asked.nul}
    if alien := [name for name, value in given.items() if value]:
        raise UsageError(
            f"{alien[0]} belongs to images that are named; --prompts-from says itself which they are"
        )


def _listed(asked: Asked, out: Path) -> list[ImageRef]:
    """The images of the sources, without what another run of ours has put among them.

    Raises UsageError for a source that is not there, NothingToDo when there is no image.
    """
    from ldznet_cli.samples.listing import list_images

    sources = _sources(asked)
    found = list_images(sources, recursive=asked.recursive, exclude=asked.exclude, videos=True)
    below = out.resolve()
    inside = any(below in (source.resolve(), *source.resolve().parents) for source in sources)
    results = _results(out) if inside else frozenset()
    kept = [
        ref
        for ref in found
        if (path := ref.path.resolve()) not in results and (inside or below not in path.parents)
    ]
    if not kept:
        raise NothingToDo(
            f"the only images there are are the results in {out}: name another folder of images"
        )
    return kept


def _sources(asked: Asked) -> list[Path]:
    """The sources, with the list on standard input in place of "-"."""
    from ldznet_cli.samples.listing import read_list

    sources: list[Path] = []
    for source in asked.sources:
        if str(source) != "-":
            sources.append(source)
            continue
        listed = read_list(sys.stdin.buffer, asked.nul)
        if not listed:
            raise NothingToDo("the list of images on standard input is empty")
        sources += map(Path, listed)
    if asked.nul and Path("-") not in asked.sources:
        raise UsageError(
            "--null is about a list on standard input: name it by '-', as in: find … -print0 | … -0 -"
        )
    return sources


def _results(out: Path) -> frozenset[Path]:
    """What earlier runs have written into OUT, by their records, from whatever folder they were started."""
    from ldznet_cli.evaluation.records import located
    from ldznet_cli.inference.outputs import RECORDS
    from ldznet_cli.inference.record_file import read_records
    from ldznet_cli.reporting.label_map import LabelMapPng

    recorded = (path for record in read_records(out / RECORDS) for path in _files(record))
    legend = (out / name for name in LabelMapPng(()).beside())
    return frozenset(path.resolve() for path in (*(located(path, out) for path in recorded), *legend))


def _files(record: Record) -> Iterator[str]:
    paths = (record.mask, record.prob, record.overlay, *(record.files or {}).values())
    return (path for path in paths if path is not None)


def _rows(asked: Asked) -> list[Task]:
    from ldznet_cli.inference.prompt_files import read_rows

    assert asked.prompts_from is not None
    if asked.groups is not None:
        raise UsageError("--groups belongs to annotations: rows name their phrases themselves")
    return read_rows(
        asked.prompts_from,
        sys.stdin,
        options.image_folder(asked.sources, asked.images, "--prompts-from"),
        asked.negatives,
    )


def _annotated(asked: Asked) -> list[Task]:
    from ldznet_cli.inference import Task, prompts_of_phrases
    from ldznet_cli.samples.coco import load_coco

    assert asked.prompts_from is not None
    folder = options.image_folder(asked.sources, asked.images, "--prompts-from")
    by_image = load_coco(asked.prompts_from, images=folder, groups=asked.groups).by_image()
    if not by_image:
        raise NothingToDo(f"{asked.prompts_from} has no annotation with a phrase")
    return [
        Task(image, prompts_of_phrases([sample.phrase for sample in samples], asked.negatives))
        for image, samples in by_image.items()
    ]
