"""One prediction as it comes in: which image and phrase it is about, and how to get at its pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from ldznet_cli.metrics import Prediction


@dataclass(frozen=True)
class ImageKey:
    """What is known about which image is meant. The content (`sha256`) decides where it is known on both sides."""

    name: str
    sha256: str | None = None
    size: tuple[int, int] | None = None
    """(width, height) of the image that was segmented."""


@dataclass(frozen=True)
class Answer:
    """A prediction for (image, phrase). `label` is what the phrase was to be called: it is tried where no sample has
    the phrase. `load` reads the pixels and raises ImageError or AnnotationError; `error` says that there are none.
    `tuned_on` is the ground truth (SHA-256) that the model's threshold was tuned on, `settings` a digest of all that
    decided the prediction but image and phrase. An answer can be pickled.
    """

    image: ImageKey
    phrase: str
    load: Callable[[], Prediction]
    label: str | None = None
    error: str | None = None
    model: str | None = None
    model_digest: str | None = None
    tuned_on: str | None = None
    geometry: str | None = None
    settings: str | None = None
    where: str = "a prediction"


class Answers(Protocol):
    """A source of predictions. `PredictedArrays` (arrays in memory) is the smallest one."""

    @property
    def source(self) -> str:
        """What it is, for people: "standard input", a path."""

    def __iter__(self) -> Iterator[Answer]:
        """Each prediction once, in any order; pixels are not read yet."""
