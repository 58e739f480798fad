"""The seams: a format of one mask, of one image, of a whole run; and what each of them is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ldznet_cli.samples.outline import Ring
from ldznet_cli.samples.record import Record


@dataclass(frozen=True, eq=False)
class Answer:
    """One prompt's answer about one image (RGB, upright).

    prob:  float32 (h, w) in [0, 1] on the predictor's grid, as it is stored
    mask:  bool (height, width) of the image, in its final shape
    alpha: uint8 (height, width), 0 to 255: the mask, faded at its edge where that was asked for
    """

    image: Image.Image
    label: str
    prob: NDArray[np.float32]
    mask: NDArray[np.bool_]
    alpha: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Part:
    """Of one prompt's answer, what is kept until the image's other prompts are done: `rings` outline the mask."""

    label: str
    prob: NDArray[np.float32]
    rings: Sequence[Ring] = ()


@dataclass(frozen=True, eq=False)
class Scene:
    """All answers about one image of width x height pixels, and the probability above which they are masks."""

    path: Path
    width: int
    height: int
    threshold: float
    parts: Sequence[Part]


@runtime_checkable
class MaskFormat(Protocol):
    """One file for each image and prompt, its name the mask's and `suffix`."""

    @property
    def name(self) -> str: ...

    @property
    def suffix(self) -> str: ...

    def encode(self, answer: Answer) -> bytes:
        """The file's content: the same for the same answer."""
        ...


@runtime_checkable
class ImageFormat(Protocol):
    """One file for each image, in the folder `folder` of OUT, called as the image is; `outlined` asks for rings."""

    @property
    def name(self) -> str: ...

    @property
    def folder(self) -> str: ...

    @property
    def suffix(self) -> str: ...

    @property
    def outlined(self) -> bool: ...

    def encode(self, scene: Scene, place: Path) -> bytes:
        """The content of the file that will lie at `place`."""
        ...

    def beside(self) -> Mapping[str, bytes]:
        """Files for the run as a whole, by their path below OUT: what numbers mean."""
        ...


@runtime_checkable
class RunFormat(Protocol):
    """Files for the run as a whole, from its records, when it has come to its end; records then hold `rle`."""

    @property
    def name(self) -> str: ...

    @property
    def files(self) -> tuple[str, ...]:
        """Their paths below OUT."""
        ...

    def write(self, out: Path, records: Iterable[Record]) -> None:
        """Write them, each whole or not at all. `records` may be too many for the memory, and be gone through twice.

        Raises DiskFull, LdznetError.
        """
        ...
