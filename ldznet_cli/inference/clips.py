"""Images that follow each other in time: the frames of a video, or a folder of frames in the order of their numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path, PurePosixPath

from ldznet_cli.errors import ImageError, UsageError
from ldznet_cli.inference.prompts import Task
from ldznet_cli.samples.listing import Frame, ImageRef
from ldznet_cli.samples.video import Scan, is_video, scan

_ROUNDED = Fraction(1, 1000)
"""Seconds by which a frame's time may be too early: Matroska, WebM and FLV count in thousandths, and some cut off."""

_SAME = Fraction(999, 1000)
"""29.97 is said for 30000 / 1001, and 30 for either."""


@dataclass(frozen=True)
class Thinning:
    """Which frames are taken: each `every`-th, or of a video `rate` a second (the first frame of each 1 / rate); all,
    where it has no more than that."""

    every: int = 1
    rate: Fraction | None = None

    def taken(self, film: Scan) -> Iterator[Frame]:
        """Those of a video's frames that are taken, in order."""
        if self.rate is None or self.rate >= film.rate * _SAME:
            yield from film.frames[:: self.every]
            return
        last = -1
        for frame in film.frames:
            slot = int((Fraction(frame.time) + _ROUNDED) * self.rate)
            if slot > last:
                yield frame
            last = slot


def reach_of(smooth: int) -> int:
    """How far a mean over `smooth` frames reaches to either side. Raises UsageError for a number that is not odd."""
    if smooth % 2 == 0:
        raise UsageError(f"--smooth {smooth}: expected an odd number of frames, so that one is in the middle")
    return smooth // 2


def clip_of(image: ImageRef) -> Path:
    """What the frames of one clip have in common: their video (also one that cannot be read), or their folder."""
    return image.path if is_video(image) else image.path.parent


def with_frames(tasks: Iterable[Task], thinning: Thinning, look: Callable[[Path], Scan] = scan) -> list[Task]:
    """The tasks, a video's frames in place of the video, called `CLIP/000000.png` and so on.

    A video that is broken somewhere has one frame more than can be decoded, and one that cannot be read at all stays
    as it is: to read these fails, and says why. `look` looks through a video. Raises UsageError without PyAV.
    """
    scans: dict[Path, Scan | None] = {}
    made = []
    for task in tasks:
        found = _looked(task.image, look, scans) if is_video(task.image) else None
        made += [task] if found is None else _frames(task, found, thinning)
    return made


def in_time(tasks: Sequence[Task], thinning: Thinning = Thinning()) -> list[Task]:
    """Clip after clip, images of one folder by the numbers in their names; of folders each `every`-th is taken."""
    clips: dict[Path, list[Task]] = {}
    for task in tasks:
        clips.setdefault(clip_of(task.image), []).append(task)
    ordered = []
    for frames in clips.values():
        if frames[0].image.frame is None:
            frames = sorted(frames, key=lambda task: _natural(task.image.name))[:: thinning.every]
        ordered += frames
    return ordered


def _looked(image: ImageRef, look: Callable[[Path], Scan], scans: dict[Path, Scan | None]) -> Scan | None:
    if image.path not in scans:
        try:
            scans[image.path] = look(image.path)
        except ImageError:
            scans[image.path] = None
    return scans[image.path]


def _frames(task: Task, found: Scan, thinning: Thinning) -> list[Task]:
    frames = [*thinning.taken(found)]
    if found.fault is not None:
        frames.append(Frame(len(found.frames), found.frames[-1].time))
    stem = PurePosixPath(task.image.name).with_suffix("")
    return [
        replace(task, image=replace(task.image, name=f"{stem}/{frame.index:06}.png", frame=frame))
        for frame in frames
    ]


def _natural(name: str) -> list[tuple[int, str]]:
    """`frame2` before `frame10`."""
    return [(int(part), part) if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
