"""Video files: their frames in order, upright, as 8-bit RGB, decoded by FFmpeg (PyAV); what is broken is told of.

A frame's number counts the frames that can be decoded, so that a number means the same frame whenever the file is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

from PIL import Image

from ldznet_cli.errors import ImageError, UsageError
from ldznet_cli.samples.images import MAX_PIXELS, check_file, shown
from ldznet_cli.samples.listing import VIDEO_SUFFIXES, Frame, ImageRef

_FORMATS = "mov,matroska,avi,mpeg,mpegts,flv,ogg,asf"
"""FFmpeg's demuxers that are used: none that fetches what another file or a network holds."""

_RATE = Fraction(25)
"""Frames a second of a video that does not say."""

_CUT = 0.5
"""Seconds that a video may be shorter than its header says."""

_TURNED = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}


@dataclass(frozen=True)
class Scan:
    """What a video holds: its frames, how many a second, and what could not be decoded of it, if anything."""

    frames: tuple[Frame, ...]
    rate: Fraction
    fault: str | None


def is_video(image: ImageRef) -> bool:
    """Whether this is a video, or one of its frames."""
    return image.path.suffix.lower() in VIDEO_SUFFIXES


def scan(path: Path, tell: Callable[[], None] = lambda: None) -> Scan:
    """Every frame of a video, decoded once to know it is there; `tell` hears of each.

    Raises ImageError for what is no video or has no frame at all, UsageError where PyAV is not installed.
    """
    with Film(path) as film:
        frames = []
        for frame, _ in film:
            frames.append(frame)
            tell()
        if not frames:
            raise ImageError(
                f"{shown(path)}: no frame of it can be decoded ({film.fault or 'there is none'})"
            )
        return Scan(tuple(frames), film.rate, film.fault)


class Film:
    """A video, open. It is gone through once, from its first frame to its last; `fault` then tells what was broken.

    Raises ImageError for what is no video, UsageError where PyAV is not installed.
    """

    def __init__(self, path: Path) -> None:
        check_file(path)
        self._av, self.path = pyav(shown(path)), path
        options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
        try:
            self._container = self._av.open(f"file:{path}", options=options, metadata_errors="replace")
        except self._av.FFmpegError as error:
            raise ImageError(
                f"{shown(path)}: no video that can be read, or cut off ({_reason(error)})"
            ) from error
        streams = [
            stream
            for stream in self._container.streams.video
            if stream.codec_context is not None  # which FFmpeg does not know
            and not stream.disposition & self._av.stream.Disposition.attached_pic
        ]
        if not streams:
            self.close()
            raise ImageError(f"{shown(path)}: has no video stream that can be decoded")
        self._stream = streams[0]
        self.rate = self._stream.average_rate or _RATE
        self._packets = self._faults = 0
        self._first: str | None = None

    def __enter__(self) -> Film:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._container.close()

    @property
    def fault(self) -> str | None:
        """How many places could not be decoded, and the first of them."""
        if self._first is None:
            return None
        more = f", and {self._faults - 1} more places" if self._faults > 1 else ""
        return f"{self._first}{more}"

    def __iter__(self) -> Iterator[tuple[Frame, Any]]:
        """Each frame with PyAV's own of it, which `picture` makes a picture of."""
        begin, last, index = None, 0.0, 0
        for decoded in self._decoded():
            time = decoded.time if decoded.time is not None else float(index / self.rate)
            begin = time if begin is None else begin
            last = max(last, round(time - begin, 6))
            if decoded.is_corrupt:
                self._broken(index, "damaged picture")
            yield Frame(index, last), decoded
            index += 1
        self._check_length(index, last)

    def picture(self, decoded: Any) -> Image.Image:
        """PyAV's frame as 8-bit RGB, upright. Raises ImageError for one that cannot be converted."""
        try:
            picture: Image.Image = decoded.to_image()
            turned = _TURNED.get(decoded.rotation % 360)
        except (self._av.FFmpegError, ValueError, MemoryError) as error:
            raise ImageError(
                f"{shown(self.path)}: a frame cannot be converted to RGB ({_reason(error)})"
            ) from error
        return picture if turned is None else picture.transpose(turned)

    def _decoded(self) -> Iterator[Any]:
        """Whatever comes out of the decoder, past what does not."""
        frames = 0
        self._stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        try:
            for packet in self._container.demux(self._stream):
                self._packets += packet.size > 0
                try:
                    for decoded in packet.decode():
                        yield decoded
                        frames += 1
                except self._av.FFmpegError as error:
                    self._broken(frames, _reason(error))
        except self._av.FFmpegError as error:
            self._broken(frames, _reason(error))

    def _broken(self, frame: int, reason: str) -> None:
        self._faults += 1
        self._first = self._first or f"at frame {frame}: {reason}"

    def _check_length(self, frames: int, last: float) -> None:
        """A file that was cut off often ends like a whole one: only its header knows."""
        stream = self._stream
        if stream.frames:
            if stream.frames - self._packets > 2 + stream.frames // 100:
                self._broken(frames, f"cut off: the header tells of {stream.frames} frames")
            return
        length = _length(self._container, stream)
        if length is not None and frames and last + float(1 / self.rate) + _CUT < length:
            self._broken(frames, f"cut off: the header tells of {length:.1f} seconds")


def pyav(what: str) -> ModuleType:
    """PyAV, which `what` needs. Raises UsageError where it is not installed."""
    try:
        import av
    except ImportError as error:
        raise UsageError(f"{what}: videos need PyAV: pip install 'ldznet-cli[video]'") from error
    return av


def _length(container: Any, stream: Any) -> float | None:
    """Seconds that the header tells of; a container's own length may be that of the sound."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    said = stream.metadata.get("DURATION", "").split(":")
    if len(said) == 3:
        try:
            return int(said[0]) * 3600 + int(said[1]) * 60 + float(said[2])
        except ValueError:
            return None
    alone = len(container.streams) == 1 and container.duration
    return container.duration / 1e6 if alone else None


def _reason(error: Exception) -> str:
    """FFmpeg's own words, without number and file."""
    return str(getattr(error, "strerror", None) or type(error).__name__)
