"""A scored sample to look at: its image with the ground truth, and the same with the prediction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ldznet_cli.errors import ImageError, LdznetError
from ldznet_cli.evaluation import Ranked, Shown
from ldznet_cli.reporting.overlay import overlay
from ldznet_cli.reporting.page import jpeg_uri
from ldznet_cli.samples.images import read_image

LONGEST = 320
"""Pixels of a picture's longer side."""


@dataclass(frozen=True)
class SamplePicture:
    """Two pictures as data addresses; where one cannot be made, `trouble` says why."""

    ranked: Ranked
    truth: str | None = None
    found: str | None = None
    trouble: str | None = None


def sample_pictures(shown: Iterable[Shown]) -> Iterator[SamplePicture]:
    """One after the other; the prediction is cut where it was for its IoU."""
    for one in shown:
        try:
            yield _picture(one)
        except LdznetError as error:
            yield SamplePicture(one.ranked, trouble=str(error))


def _picture(one: Shown) -> SamplePicture:
    sample = one.sample
    image = read_image(sample.image.path)
    if image.size != (sample.width, sample.height):
        raise ImageError(
            f"{sample.image.path} has {image.width}x{image.height} pixels, "
            f"its annotations {sample.width}x{sample.height}"
        )
    prediction = one.answer.load()
    if one.ranked.threshold != "own" and not prediction.hard:
        prediction = replace(prediction, threshold=float(one.ranked.threshold))
    found = prediction.found(sample.width, sample.height)
    pictures = (overlay(image, mask, sample.phrase) for mask in (sample.mask(), found))
    drawn = [jpeg_uri(picture, LONGEST) for picture in pictures]
    return SamplePicture(one.ranked, *drawn)
