"""Pixels: any image file of ours becomes 8-bit RGB, upright, or one line that says why not."""

from __future__ import annotations

import hashlib
import struct
import zlib
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from ldznet_cli.errors import ImageError
from ldznet_cli.samples.geometry import Geometry, to_tensor
from ldznet_cli.samples.listing import ImageRef, list_images
from ldznet_cli.samples.quiet import without_stderr, without_warnings

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "Geometry",
    "ImageRef",
    "image_size",
    "list_images",
    "open_image",
    "read_image",
    "sha256_of",
    "to_rgb",
    "to_tensor",
]

MAX_PIXELS = 100_000_000
"""Larger images are refused before they are decoded: 100 megapixels are 300 MB as RGB, and bombs are larger."""

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
"""Pillow's decoders that are used; the rest of them is more ways to be attacked than pictures people have."""

_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"II*\0", b"MM\0*", b"BM", b"GIF8")

_ORIENTATION = 274
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)

# What Pillow's decoders raise on broken bytes (fuzzing finds them all; only OSError and ValueError are documented).
_BROKEN = (
    *(
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        MemoryError,
        NotImplementedError,
        ArithmeticError,
        LookupError,
    ),
    *(TypeError, AttributeError, AssertionError, RecursionError, struct.error, zlib.error),
    Image.DecompressionBombError,
)


def read_image(path: str | Path) -> Image.Image:
    """The image as 8-bit RGB, upright.

    EXIF orientation is applied; grey, palette, CMYK and 16-bit images are converted (65535 → 255); what is
    transparent lies over white; of an animation or a multi-page file it is the first frame. Damaged metadata is
    ignored, damaged pixels are not.

    Raises ImageError, in one line with the path: missing, empty, truncated, not an image, over `MAX_PIXELS`.
    """
    file = Path(path)
    return to_rgb(open_image(file), shown(file))


def to_rgb(image: Image.Image, name: str = "the image") -> Image.Image:
    """What `read_image` says, of an image that is open: upright, over white.

    Raises ImageError, in which it is called `name`, for pixels without an agreed range, or that cannot be decoded.
    """
    if (image.mode == "I" and image.format != "PNG") or image.mode in ("F", "LAB"):
        raise ImageError(
            f"{name}: pixels of type {image.mode} have no agreed range: save it with 8 or 16 bits"
        )
    try:
        with without_warnings:
            return _upright(_rgb(image), image)
    except _BROKEN as error:
        raise ImageError(f"{name}: cannot be converted to RGB ({_reason(error)})") from error


def open_image(path: Path) -> Image.Image:
    """The decoded first frame in its own mode, orientation not applied. Raises ImageError as `read_image` does."""
    check_file(path)
    try:
        with without_warnings:
            return _decode(path)
    except UnidentifiedImageError as error:
        raise ImageError(f"{shown(path)}: {_unknown(path)}") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{shown(path)}: {_too_large()}") from error
    except _BROKEN as error:
        raise ImageError(f"{shown(path)}: damaged or truncated ({_reason(error)})") from error


def image_size(path: str | Path) -> tuple[int, int]:
    """(width, height) of `read_image`'s result, from the file's header: pixels are decoded only where they come first.

    Raises ImageError when the header cannot be read; damaged pixels are not noticed.
    """
    file = Path(path)
    check_file(file)
    try:
        with without_warnings, file.open("rb") as opened, Image.open(opened, formats=FORMATS) as image:
            turned = (
                _orientation(image) in _SIDEWAYS and image.format != "TIFF"
            )  # whose size is upright already
            return (image.height, image.width) if turned else image.size
    except UnidentifiedImageError as error:
        raise ImageError(f"{shown(file)}: {_unknown(file)}") from error
    except _BROKEN as error:
        raise ImageError(f"{shown(file)}: damaged or truncated ({_reason(error)})") from error


def sha256_of(path: str | Path) -> str:
    """The SHA-256 of the file's bytes, in hex: what an image is called wherever identity matters."""
    check_file(Path(path))
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ImageError(f"{shown(Path(path))}: cannot be read ({_reason(error)})") from error


def read_view(image: ImageRef) -> Image.Image:
    """What is to be seen of an image: its view of `read_image`'s result. Raises ImageError as that does."""
    return image.view.of_image(read_image(image.path))


def identity_of(image: ImageRef) -> str:
    """The name of what is to be seen of an image: its file's SHA-256 where that is all of it. Raises ImageError."""
    return image.view.identity(sha256_of(image.path))


def check_file(path: Path) -> None:
    """A folder, a pipe or a device would give strange errors, or hang. Raises ImageError."""
    try:
        if not path.exists():
            raise ImageError(f"{shown(path)}: does not exist")
        if not path.is_file():
            raise ImageError(f"{shown(path)}: not a file")
        if path.stat().st_size == 0:
            raise ImageError(f"{shown(path)}: empty file (0 bytes)")
    except (OSError, ValueError) as error:
        raise ImageError(f"{shown(path)}: cannot be read ({_reason(error)})") from error


def _decode(path: Path) -> Image.Image:
    with (
        path.open("rb") as file,
        Image.open(file, formats=FORMATS) as image,
    ):  # a path would be mapped, wrongly if turned
        if image.width * image.height > MAX_PIXELS:
            raise ImageError(f"{shown(path)}: {image.width}x{image.height} pixels: {_too_large()}")
        with without_stderr if image.format == "TIFF" else nullcontext():
            image.load()
        return image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # "I;16" in its byte orders, and PNG's 16 bits in older Pillows' "I"
        grey = np.asarray(image, dtype=np.uint16).astype(np.uint32)
        return Image.fromarray(((grey + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _upright(rgb: Image.Image, source: Image.Image) -> Image.Image:
    method = _UPRIGHT.get(_orientation(source))
    return rgb if method is None else rgb.transpose(method)


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except _BROKEN:
        return 1  # damaged EXIF says nothing about which side is up: show what other viewers show
    return orientation if isinstance(orientation, int) else 1


def _unknown(path: Path) -> str:
    """Why Pillow knows no format for it: the file begins like an image, or it does not."""
    with path.open("rb") as file:
        start = file.read(4)
    if start.startswith(_SIGNATURES):
        return "damaged or truncated (the header cannot be read)"
    return f"not an image that can be read ({', '.join(FORMATS)})"


def _too_large() -> str:
    return f"more than the {MAX_PIXELS / 1e6:.0f} megapixels that are decoded: scale it down first"


def shown(path: Path) -> str:
    """A path on one line, whatever characters it holds."""
    return str(path) if str(path).isprintable() else ascii(str(path))[1:-1]


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split())
    return text if text and text.isprintable() and len(text) < 120 else type(error).__name__
