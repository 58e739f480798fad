"""The public record `ldznet.record/1`: what one mask is, in one line of JSON. It is what the pipes carry.

Described for people in docs/record.md, for programs in record.schema.json beside this file.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any

from ldznet_cli.errors import AnnotationError
from ldznet_cli.samples.fields import Fields, refuse_constant

SCHEMA = "ldznet.record/1"

Box = tuple[int, int, int, int]
"""x, y, width, height in pixels of the image; x, y the first pixel inside."""


@dataclass(frozen=True)
class RecordImage:
    """The image that was segmented. Without `sha256`, `width` and `height` where it could not be read.

    Of a video's frame `path` and `sha256` are the video's, `frame` is its number from 0, `time` its seconds.
    """

    path: str
    name: str
    sha256: str | None = None
    width: int | None = None
    height: int | None = None
    frame: int | None = None
    time: float | None = None


@dataclass(frozen=True)
class RecordGeometry:
    """The network's grid, (h, w): x_image = (x_grid + 0.5) * width / w - 0.5, and the same for y."""

    kind: str
    size: int
    grid: tuple[int, int]


@dataclass(frozen=True)
class Instance:
    """One connected part of the mask: its tight box, its area in pixels, its mean probability."""

    box: Box
    area: int
    score: float | None = None


@dataclass(frozen=True)
class Record:
    """One (image, phrase): what was asked, by whom it was answered, where the answer lies. None: not known, not made.

    `tuned_on` is the SHA-256 of the ground truth that the model's own `threshold` was tuned on;
    `score` is the presence score in [0, 1], the mean of the top 1 % of the probabilities; `area` counts the mask's
    pixels; `box` is None for an empty mask; paths are as written, relative to the working folder or absolute;
    `rle` is COCO's {"size": [h, w], "counts": str}; `negatives` are phrases that took pixels from this one; `present`
    says whether `score` reached the least that was asked for; `files` are further files, by format; `polygon_iou` is
    what is left of the mask in files of polygons; `window` is a digest of the frames that the answer is a mean over;
    `settings` is a digest of all that decides the answer but image
    and phrase; `error` tells why there is no mask.
    """

    image: RecordImage
    phrase: str
    label: str
    prompt: str | None = None
    predictor: str | None = None
    model: str | None = None
    model_digest: str | None = None
    ldm: str | None = None
    ldm_digest: str | None = None
    seed: int | None = None
    draws: int | None = None
    geometry: RecordGeometry | None = None
    threshold: float | None = None
    tuned_on: str | None = None
    mask: str | None = None
    overlay: str | None = None
    prob: str | None = None
    score: float | None = None
    area: int | None = None
    box: Box | None = None
    instances: tuple[Instance, ...] | None = None
    rle: dict[str, Any] | None = None
    negatives: tuple[str, ...] | None = None
    present: bool | None = None
    files: dict[str, str] | None = None
    polygon_iou: float | None = None
    window: str | None = None
    settings: str | None = None
    error: str | None = None


_OPTIONAL = ("rle", "instances", "negatives", "present", "files", "polygon_iou", "window", "frame", "time")
"""Left out of the JSON, not null, when there is none: they are long, or seldom."""


def to_json(record: Record) -> str:
    """One line of plain ASCII JSON with sorted keys; `parse` gives the record back."""
    data = _kept(asdict(record)) | {"schema": SCHEMA, "image": _kept(asdict(record.image))}
    return json.dumps(data, sort_keys=True, allow_nan=False, separators=(",", ":"))


def _kept(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in _OPTIONAL or value is not None}


def parse(line: str) -> Record:
    """The record of one line. Fields that are not known are ignored: later versions of `/1` may add some.

    Raises AnnotationError naming the field, what was expected and what was found; the caller adds file and line.
    """
    try:
        data = Fields.of(json.loads(line, parse_constant=refuse_constant), "a record")
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"not a line of JSON ({error}): expected records of {SCHEMA}") from error
    if data.get("schema") != SCHEMA:
        raise AnnotationError(
            f"schema is {data.get('schema')!r}: expected {SCHEMA!r}, as `ldznet segment` writes"
        )
    return _record(data)


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a record."""
    text = files(__package__).joinpath("record.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def _record(data: Fields) -> Record:
    simple: dict[str, Any] = {name: data.text_or_none(name) for name in _TEXTS}
    simple |= {name: data.whole_or_none(name) for name in _WHOLES}
    simple |= {name: data.number_or_none(name) for name in _NUMBERS}
    return Record(
        image=_image(data.object("image")),
        phrase=data.text("phrase"),
        label=data.text("label"),
        geometry=_geometry(data.object("geometry")) if data.has("geometry") else None,
        box=_box(data.wholes("box", 4)) if data.has("box") else None,
        instances=tuple(map(_instance, data.objects("instances"))) if data.has("instances") else None,
        rle=_rle(data.object("rle")) if data.has("rle") else None,
        negatives=_texts(data, "negatives") if data.has("negatives") else None,
        present=data.flag("present") if data.has("present") else None,
        files=_files(data.object("files")) if data.has("files") else None,
        **simple,
    )


_TEXTS = (
    *("prompt", "predictor", "model", "model_digest", "ldm", "ldm_digest"),
    *("tuned_on", "mask", "overlay", "prob", "window", "settings", "error"),
)
_WHOLES = ("seed", "draws", "area")
_NUMBERS = ("threshold", "score", "polygon_iou")


def _image(data: Fields) -> RecordImage:
    numbers = {name: data.whole_or_none(name) for name in ("width", "height", "frame")}
    time = data.number_or_none("time")
    return RecordImage(
        data.text("path"), data.text("name"), data.text_or_none("sha256"), time=time, **numbers
    )


def _geometry(data: Fields) -> RecordGeometry:
    height, width = data.wholes("grid", 2)
    return RecordGeometry(data.text("kind"), data.whole("size"), (height, width))


def _instance(data: Fields) -> Instance:
    return Instance(_box(data.wholes("box", 4)), data.whole("area"), data.number_or_none("score"))


def _box(sides: tuple[int, ...]) -> Box:
    x, y, width, height = sides
    return x, y, width, height


def _rle(data: Fields) -> dict[str, Any]:
    return {"size": list(data.wholes("size", 2)), "counts": data.text("counts")}


def _texts(data: Fields, name: str) -> tuple[str, ...]:
    values = data.get(name)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise data.wrong(name, "a list of strings")
    return tuple(values)


def _files(data: Fields) -> dict[str, str]:
    return {name: data.text(name) for name in data.data}
