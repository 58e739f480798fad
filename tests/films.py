"""Small videos, made by PyAV: a red bar on white that grows by two pixels a frame."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

CODECS = {".avi": "mpeg4", ".webm": "libvpx-vp9", ".mpg": "mpeg2video"}
FAST = {"libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"}, "libx264": {"preset": "ultrafast"}}


def bar(number: int, size: tuple[int, int] = (48, 32)) -> NDArray[np.uint8]:
    pixels = np.full((size[1], size[0], 3), 255, dtype=np.uint8)
    pixels[:, : 2 * number + 2] = (255, 0, 0)
    return pixels


def film(
    path: Path,
    frames: int | Iterable[NDArray[np.uint8]] = 12,
    *,
    size: tuple[int, int] = (48, 32),
    rate: int = 10,
    rotation: int = 0,
    gop: int = 4,
    **options: str,
) -> Path:
    """A video of these frames, in the format that its suffix says. `options` are the container's."""
    pictures = [bar(number, size) for number in range(frames)] if isinstance(frames, int) else list(frames)
    codec = CODECS.get(path.suffix, "libx264")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=options) as container:
        stream: Any = container.add_stream(codec, rate=rate, options=FAST.get(codec, {}))
        stream.width, stream.height = pictures[0].shape[1], pictures[0].shape[0]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = gop
        if rotation:
            stream.set_display_rotation(rotation)
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def silent_sound(path: Path) -> Path:
    """A file of sound alone."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def frames_of(path: Path) -> list[tuple[float, NDArray[np.uint8]]]:
    """(seconds, RGB) of each frame, as any player sees them."""
    with av.open(str(path)) as container:
        return [
            (float(frame.time or 0), frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)
        ]
