"""Images as they are asked for, be they files or frames of a video, which is opened once and decoded in its order."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from PIL import Image

from ldznet_cli.errors import ImageError
from ldznet_cli.samples.images import read_view, sha256_of, shown
from ldznet_cli.samples.listing import Frame, ImageRef
from ldznet_cli.samples.record import Record
from ldznet_cli.samples.video import Film, is_video, scan


class ImageReader:
    """Reads images. Frames are best asked for in their order, by one thread: going back begins at the first again.

    A frame's SHA-256 is that of its video, whose bytes are read once for all of its frames.
    """

    def __init__(self) -> None:
        self._film: Film | None = None
        self._frames: Iterator[tuple[Frame, Any]] = iter(())
        self._next = 0
        self._hashed: tuple[Path, str] | None = None

    def __enter__(self) -> ImageReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the video that is open, if any."""
        if self._film is not None:
            self._film.close()
        self._film = None

    def read(self, image: ImageRef) -> Image.Image:
        """8-bit RGB, upright. Raises ImageError for what cannot be read, a video as a whole among that."""
        if not is_video(image):
            return read_view(image)
        if image.frame is None:
            scan(image.path)  # which failed before, and says here why
            raise ImageError(f"{shown(image.path)}: has changed since it was looked through: start again")
        return self._picture(image.path, image.frame.index)

    @property
    def rate(self) -> Fraction:
        """Frames a second of the video whose frame was read last."""
        assert self._film is not None
        return self._film.rate

    def sha256(self, image: ImageRef) -> str:
        """Of the file's bytes. Raises ImageError."""
        if image.frame is None:
            return sha256_of(image.path)
        if self._hashed is None or self._hashed[0] != image.path:
            self._hashed = (image.path, sha256_of(image.path))
        return self._hashed[1]

    def _picture(self, path: Path, index: int) -> Image.Image:
        if self._film is None or self._film.path != path or index < self._next:
            self._open(path)
        assert self._film is not None
        for frame, decoded in self._frames:
            self._next = frame.index + 1
            if frame.index == index:
                return self._film.picture(decoded)
        why = self._film.fault or f"it ends before frame {index}"
        raise ImageError(f"{shown(path)}: damaged or cut off ({why}): what can be decoded of it is taken")

    def _open(self, path: Path) -> None:
        self.close()
        self._film = Film(path)
        self._frames, self._next = iter(self._film), 0


def ref_of(record: Record) -> ImageRef:
    """The image, or the frame, that a record is about."""
    image = record.image
    frame = None if image.frame is None else Frame(image.frame, image.time or 0.0)
    return ImageRef(Path(image.path), image.name, frame=frame)
