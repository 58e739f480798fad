"""A COCO-style file, read and checked: images, phrases, categories, annotations. Nothing is drawn yet.

Every error is one line that names the file, the entry, and what was found there.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from ldznet_cli.errors import AnnotationError, UsageError
from ldznet_cli.samples.fields import Fields, Id, require_unique
from ldznet_cli.samples.images import MAX_PIXELS
from ldznet_cli.samples.labels import Label, annotation_labels, category_labels
from ldznet_cli.samples.listing import ImageRef
from ldznet_cli.samples.segmentation import Segmentation, read_segmentation

STYLES = ("photo", "cartoon", "sketch")
"""The miniature world's: `cartoon_0001.png` and `cartoon/0001.png` are cartoons where no `style` says otherwise."""

IGNORED = ("iscrowd", "ignore")
"""Fields that, when set, make an annotation a region that does not count."""


@dataclass(frozen=True)
class CocoImage:
    id: Id
    ref: ImageRef
    width: int
    height: int
    style: str | None


@dataclass(frozen=True)
class CocoAnnotation:
    """`labels` are several where groups overlap, none for an ignored region that concerns every phrase. `sample` keeps
    apart what the same words are said of: annotations of one phrase that differ in it are no union."""

    id: Id
    image_id: Id
    labels: tuple[Label, ...]
    segmentation: Segmentation
    ignored: bool
    sample: Id | None = None


@dataclass(frozen=True)
class CocoFile:
    digest: str
    groups_digest: str | None
    images: Mapping[Id, CocoImage]
    annotations: tuple[CocoAnnotation, ...]
    labels: Mapping[Id, tuple[Label, ...]]
    """What each category is called."""


def read_json(path: Path) -> tuple[Fields, str]:
    """The JSON object in a file, and the SHA-256 of its bytes. Raises UsageError (no such file), AnnotationError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        value = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{path}: not JSON ({error}): is it the right file?") from error
    return Fields.of(value, str(path)), hashlib.sha256(content).hexdigest()


def read_coco(gt: Path, folder: Path, groups: Path | None = None) -> CocoFile:
    """The whole file; `folder` is where its `file_name`s begin, `groups` the file that replaces categories by unions.

    Raises AnnotationError: not JSON, missing fields, unknown or duplicate ids, broken polygons or RLE, a
    `file_name` outside `folder`.
    """
    data, digest = read_json(gt)
    members, groups_digest = (Fields({}, ""), None) if groups is None else read_json(groups)
    images = _images(data, folder)
    labels = category_labels(data, members)
    annotations = [_annotation(entry, images, labels) for entry in data.entries("annotations", "annotation")]
    require_unique([annotation.id for annotation in annotations], f"{gt}: annotation")
    return CocoFile(digest, groups_digest, images, tuple(annotations), labels)


def image_ref(file_name: str, folder: Path) -> ImageRef:
    """The image called `file_name` in `folder`. Lexical: a link inside the folder is the user's own and is followed.

    Raises AnnotationError for a name that is absolute, or leaves the folder by way of `..`.
    """
    name = PurePath(os.path.normpath(file_name))
    if name.is_absolute() or name.drive or name.parts[:1] in ((), ("..",)) or "\0" in file_name:
        raise AnnotationError(f"file_name is {file_name!a}: expected a path inside the image folder {folder}")
    return ImageRef(folder / name, name.as_posix())


def _images(data: Fields, folder: Path) -> dict[Id, CocoImage]:
    info = data.get("info")
    style = info.get("style") if isinstance(info, dict) else None
    images = [
        _image(entry, folder, style if isinstance(style, str) else None)
        for entry in data.entries("images", "image")
    ]
    require_unique([image.id for image in images], f"{data.where}: image")
    return {image.id: image for image in images}


def _image(entry: Fields, folder: Path, style: str | None) -> CocoImage:
    width, height = entry.whole("width"), entry.whole("height")
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise AnnotationError(f"{entry.where}: {width}x{height} pixels: expected 1 to {MAX_PIXELS}")
    name = entry.text("file_name")
    try:
        ref = image_ref(name, folder)
    except AnnotationError as error:
        raise AnnotationError(f"{entry.where}: {error}") from error
    own = entry.get("style")
    return CocoImage(
        entry.id("id"), ref, width, height, own if isinstance(own, str) else style or _style_of(ref.name)
    )


def _style_of(name: str) -> str | None:
    return next((style for style in STYLES if name.startswith((style + "_", style + "-", style + "/"))), None)


def _annotation(
    entry: Fields, images: Mapping[Id, CocoImage], labels: Mapping[Id, tuple[Label, ...]]
) -> CocoAnnotation:
    image = images.get(entry.id("image_id"))
    if image is None:
        raise AnnotationError(
            f"{entry.where}: image_id {entry.get('image_id')!r:.60} is not among the images"
        )
    ignored = any(entry.flag(name) for name in IGNORED)
    named = annotation_labels(entry, labels, ignored)
    if not entry.has("segmentation"):
        raise AnnotationError(f"{entry.where}: segmentation is missing: masks are needed, boxes do not do")
    try:
        segmentation = read_segmentation(entry.get("segmentation"), image.width, image.height)
    except AnnotationError as error:
        raise AnnotationError(f"{entry.where}: {error}") from error
    sample = entry.id("sample_id") if entry.has("sample_id") else None
    return CocoAnnotation(entry.id("id"), image.id, named, segmentation, ignored, sample)
