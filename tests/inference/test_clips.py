"""Which frames are taken, what they are called, and in what order folders of frames are."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from ldznet_cli.errors import ImageError
from ldznet_cli.inference import Task
from ldznet_cli.inference.clips import Thinning, clip_of, in_time, with_frames
from ldznet_cli.inference.prompts import Prompt
from ldznet_cli.samples.listing import Frame, ImageRef
from ldznet_cli.samples.video import Scan

PROMPTS = (Prompt("red", "red"),)


def task(name: str) -> Task:
    return Task(ImageRef(Path("in") / name, name), PROMPTS)


def filmed(count: int = 20, rate: int = 10, fault: str | None = None) -> Scan:
    return Scan(tuple(Frame(n, round(n / rate, 6)) for n in range(count)), Fraction(rate), fault)


@pytest.mark.parametrize(
    ("thinning", "taken"),
    [
        (Thinning(), list(range(20))),
        (Thinning(7), [0, 7, 14]),
        (Thinning(rate=Fraction(5)), list(range(0, 20, 2))),
        (Thinning(rate=Fraction(3)), [0, 4, 7, 10, 14, 17]),  # the first of each third of a second
        (Thinning(rate=Fraction(1, 2)), [0]),
        (Thinning(rate=Fraction(30)), list(range(20))),  # more than there are: none twice
    ],
)
def test_frames_that_are_taken(thinning: Thinning, taken: list[int]) -> None:
    found = with_frames([task("clips/a.mp4")], thinning, lambda _: filmed())
    assert [one.image.frame.index for one in found if one.image.frame] == taken
    assert found[-1].image.name == f"clips/a/{taken[-1]:06}.png"
    assert {one.image.path for one in found} == {Path("in/clips/a.mp4")}


@pytest.mark.parametrize("digits", [6, 3])  # of MP4, of Matroska
@pytest.mark.parametrize(
    ("rate", "asked", "step"),
    [
        (Fraction(30), Fraction(30), 1),
        (Fraction(30000, 1001), Fraction("29.97"), 1),
        (Fraction(30000, 1001), Fraction(30), 1),
        (Fraction(24000, 1001), Fraction("23.976"), 1),
        (Fraction(60000, 1001), Fraction("59.94"), 1),
        (Fraction(24), Fraction(24), 1),
        (Fraction(25), Fraction(25), 1),
        (Fraction(120), Fraction(120), 1),
        (Fraction(24), Fraction(12), 2),
        (Fraction(30), Fraction(15), 2),
        (Fraction(30), Fraction(10), 3),
        (Fraction(60), Fraction(30), 2),
        (Fraction(60000, 1001), Fraction(30000, 1001), 2),
    ],
)
def test_no_frame_is_lost_to_rounded_times(rate: Fraction, asked: Fraction, step: int, digits: int) -> None:
    count = 20_000
    frames = tuple(Frame(n, round(float(n / rate), digits)) for n in range(count))
    taken = Thinning(rate=asked).taken(Scan(frames, rate, None))
    assert [frame.index for frame in taken] == list(range(0, count, step))


def test_other_tasks_stay_where_they_are() -> None:
    """A broken video has one frame more, one that cannot be read stays whole; each is looked through once."""
    looked = []

    def look(path: Path) -> Scan:
        looked.append(path.name)
        if path.name == "none.mkv":
            raise ImageError("no video")
        return filmed(2, fault="cut off")

    tasks = [task("x.png"), task("none.mkv"), task("a.mp4"), task("a.mp4")]
    names = [one.image.name for one in with_frames(tasks, Thinning(), look)]
    broken = ["a/000000.png", "a/000001.png", "a/000002.png"]
    assert names == ["x.png", "none.mkv", *broken, *broken]
    assert looked == ["none.mkv", "a.mp4"]


def test_a_video_that_cannot_be_read_is_no_picture_of_its_folder() -> None:
    tasks = [task("f0.png"), task("none.mkv"), task("f1.png"), task("nil.mp4")]
    assert [one.image.name for one in in_time(tasks, Thinning(2))] == ["f0.png", "none.mkv", "nil.mp4"]


def test_folders_are_put_into_the_order_of_their_numbers() -> None:
    tasks = [task(f"{folder}/frame{n}.png") for n in (1, 10, 2) for folder in ("b", "a")]
    assert [one.image.name for one in in_time(tasks)] == [
        *("b/frame1.png", "b/frame2.png", "b/frame10.png"),
        *("a/frame1.png", "a/frame2.png", "a/frame10.png"),
    ]
    assert [one.image.name for one in in_time(tasks, Thinning(2))] == [
        *("b/frame1.png", "b/frame10.png"),
        *("a/frame1.png", "a/frame10.png"),
    ]
    assert len({clip_of(one.image) for one in tasks}) == 2
