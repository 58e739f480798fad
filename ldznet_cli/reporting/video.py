"""The masked video: a clip's frames again with a mask burned in, one file a label. A format of `ldznet segment`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ldznet_cli.errors import LdznetError, UsageError
from ldznet_cli.inference.clips import clip_of
from ldznet_cli.reporting.overlay import overlay
from ldznet_cli.samples.atomic import open_atomically
from ldznet_cli.samples.listing import ImageRef
from ldznet_cli.samples.masks import decode_rle
from ldznet_cli.samples.reading import ImageReader
from ldznet_cli.samples.video import pyav

if TYPE_CHECKING:
    from ldznet_cli.samples.record import Record

Burn = Callable[[Image.Image, NDArray[np.bool_], str], Image.Image]
"""(image, mask, label) → the picture of the image's size that the video shows."""

RATE = Fraction(25)
"""Pictures a second of a folder of frames, which does not say."""

_CLOCK = 90_000
"""Ticks a second: a frame lasts a whole number of them at every usual rate."""

_CODEC = "libx264"
_OPTIONS = {"crf": "18", "threads": "1", "colorspace": "bt709"}
"""One thread: another number of them gives other bytes."""


_AT_ONCE = 4
"""Videos of a clip that are written in one pass over its frames: an encoder holds back some forty (350 MB at 1080p)."""


def cutout(image: Image.Image, mask: NDArray[np.bool_], _label: str) -> Image.Image:
    """What the mask holds, on black: no player is sure to know videos with alpha."""
    return Image.fromarray(np.where(mask[..., None], np.asarray(image), np.uint8(0)))


@dataclass(frozen=True)
class MaskedVideo:
    """H.264 in MP4, of the frames' own size, each frame shown at its own time; without sound.

    `places` has the file, below OUT, of each (clip, label), `images` the run's images by their names: records may tell
    of where an image once was. `burn` makes the pictures. Frames that failed are left out.
    Raises UsageError where PyAV, or its encoder, is missing.
    """

    places: Mapping[tuple[Path, str], str]
    images: Mapping[str, ImageRef]
    name: str = "video"
    burn: Burn = overlay
    rate: Fraction = RATE

    def __post_init__(self) -> None:
        av = pyav(f"--format {self.name}")
        if _CODEC not in av.codecs_available:
            raise UsageError(
                f"--format {self.name}: this PyAV has no {_CODEC}: pip install --only-binary av av"
            )

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(self.places.values())

    def write(self, out: Path, records: Iterable[Record]) -> None:
        """Clip after clip, in as many passes over the `records` as the labels need.

        Raises DiskFull, LdznetError (frames of two sizes).
        """
        with ImageReader() as reader:
            for labels in self._passes():
                whole = (record for record in records if record.error is None)
                for clip, found in groupby(whole, lambda record: clip_of(self._ref(record))):
                    if labels[clip]:
                        with ExitStack() as open_files:
                            self._write(out, clip, labels[clip], found, reader, open_files)

    def _passes(self) -> Iterator[dict[Path, list[str]]]:
        """The labels of each clip that are written together."""
        labels: dict[Path, list[str]] = {}
        for clip, label in self.places:
            labels.setdefault(clip, []).append(label)
        for start in range(0, max(map(len, labels.values()), default=0), _AT_ONCE):
            yield {clip: own[start : start + _AT_ONCE] for clip, own in labels.items()}

    def _ref(self, record: Record) -> ImageRef:
        return self.images[record.image.name]

    def _write(
        self,
        out: Path,
        clip: Path,
        labels: Collection[str],
        records: Iterable[Record],
        reader: ImageReader,
        open_files: ExitStack,
    ) -> None:
        encoders: dict[str, _Encoder] = {}
        for number, (ref, found) in enumerate(groupby(records, self._ref)):
            image = reader.read(ref)
            rate = self.rate if ref.frame is None else reader.rate
            time = float(number / rate) if ref.frame is None else ref.frame.time
            for record in found:
                if record.label not in labels:
                    continue
                if record.label not in encoders:
                    opened = _encoder(out / self.places[clip, record.label], image.size, rate)
                    encoders[record.label] = open_files.enter_context(opened)
                assert record.rle is not None
                mask = decode_rle(record.rle["counts"], *record.rle["size"])
                encoders[record.label].add(self.burn(image, mask, record.label), time)


class _Encoder:
    """One video that is being written."""

    def __init__(
        self, path: Path, av: ModuleType, container: Any, size: tuple[int, int], rate: Fraction
    ) -> None:
        self._path, self._av, self._container, self._size = path, av, container, size
        self._stream = container.add_stream(_CODEC, rate=rate, options=_OPTIONS)
        self._stream.width, self._stream.height = size
        # Colours are stored for every two by two pixels, which an odd number of pixels cannot be cut into.
        self._stream.pix_fmt = "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, _CLOCK)
        self._lasts, self._next = round(_CLOCK / rate), 0

    def add(self, picture: Image.Image, time: float) -> None:
        """One frame more, shown from `time` (seconds) on."""
        if picture.size != self._size:
            sizes = " and ".join(f"{width}x{height}" for width, height in (self._size, picture.size))
            raise LdznetError(f"{self._path}: a video has one size, and there are frames of {sizes}")
        frame = self._av.VideoFrame.from_image(picture)
        frame = frame.reformat(format=self._stream.pix_fmt, dst_colorspace="ITU709")
        frame.pts, frame.time_base = max(round(time * _CLOCK), self._next), Fraction(1, _CLOCK)
        frame.duration, self._next = self._lasts, frame.pts + 1
        self._container.mux(self._stream.encode(frame))

    def end(self) -> None:
        """What the encoder still holds back."""
        self._container.mux(self._stream.encode())


@contextmanager
def _encoder(path: Path, size: tuple[int, int], rate: Fraction) -> Iterator[_Encoder]:
    av = pyav(str(path))
    try:
        exact = {"fflags": "+bitexact"}  # FFmpeg would write down the time and its own version
        with open_atomically(path) as file, av.open(file, "w", format="mp4", options=exact) as container:
            encoder = _Encoder(path, av, container, size, rate)
            yield encoder
            encoder.end()
    except av.FFmpegError as error:
        raise LdznetError(
            f"{path}: cannot be encoded as {_CODEC} ({error}): leave it out of --format"
        ) from error
