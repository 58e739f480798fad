"""Predictions as `ldznet.record/1`: from a pipe, a file of lines, or the folder that `ldznet segment` wrote."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ldznet_cli.errors import AnnotationError
from ldznet_cli.evaluation.answer import Answer, ImageKey
from ldznet_cli.metrics import Prediction
from ldznet_cli.samples.masks import decode_rle, read_mask, read_prob
from ldznet_cli.samples.record import SCHEMA, Record, parse

RECORDS_FILE = "records.jsonl"
"""What `ldznet segment` calls the records in its folder."""

_THRESHOLD = 0.5
"""For records that do not name their own."""


class RecordedAnswers:
    """Records, as objects or as lines of JSON (text or UTF-8 bytes), read one at a time.

    Paths in a record are relative to the working folder; `folder` is where files are looked for that are not there,
    so that a folder of masks can be moved. `source` names the stream in messages.
    """

    def __init__(
        self, records: Iterable[Record | str | bytes], *, source: str = "records", folder: Path | None = None
    ) -> None:
        self.source, self._records, self._folder = source, records, folder

    def __iter__(self) -> Iterator[Answer]:
        """Raises AnnotationError, with the line's number, for what is not a record."""
        for number, entry in enumerate(self._records, start=1):
            where = f"{self.source}, line {number}"
            record = entry if isinstance(entry, Record) else _parsed(entry, where)
            if record is not None:
                yield self._answer(record, where)

    def _answer(self, record: Record, where: str) -> Answer:
        image, geometry = record.image, record.geometry
        size = (image.width, image.height) if image.width and image.height else None
        sha256 = None if image.frame is not None else image.sha256  # which is the video's, not the frame's
        return Answer(
            image=ImageKey(image.name, sha256, size),
            phrase=record.phrase,
            label=record.label,
            load=partial(_load, record, self._folder),
            error=record.error,
            model=" ".join(filter(None, (record.predictor, record.model))) or None,
            model_digest=record.model_digest,
            tuned_on=record.tuned_on,
            geometry=f"{geometry.kind} {geometry.size}" if geometry else None,
            settings=record.settings,
            where=where,
        )


def _parsed(line: str | bytes, where: str) -> Record | None:
    """The record of a line, None for an empty one."""
    try:
        text = line.decode() if isinstance(line, bytes) else line
        return parse(text) if text.strip() else None
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{where}: not UTF-8 text: expected records of {SCHEMA}, one a line") from error
    except AnnotationError as error:
        raise AnnotationError(f"{where}: {error}") from error


def _load(record: Record, folder: Path | None) -> Prediction:
    threshold = _THRESHOLD if record.threshold is None else record.threshold
    if record.prob is not None:
        return Prediction(read_prob(located(record.prob, folder)), threshold=threshold, score=record.score)
    return Prediction(mask=recorded_mask(record, folder), score=record.score)


def recorded_mask(record: Record, folder: Path | None) -> NDArray[np.bool_]:
    """The mask that a record names, holds, or by its area has. Raises ImageError, AnnotationError where it has none."""
    if record.mask is not None:
        return read_mask(located(record.mask, folder))
    if record.rle is not None:
        height, width = record.rle["size"]
        known = record.image.width or width, record.image.height or height
        if (width, height) != known or width < 1 or height < 1:
            raise AnnotationError(
                f"the record's rle has {width}x{height} pixels, its image {known[0]}x{known[1]}"
            )
        return decode_rle(record.rle["counts"], height, width)
    if record.area == 0 and record.image.width and record.image.height:
        return np.zeros((record.image.height, record.image.width), dtype=bool)
    raise AnnotationError("the record has no prob, mask or rle: nothing can be scored")


def located(path: str, folder: Path | None) -> Path:
    """The file a record names: as written, else the longest end of its path that exists in the records' folder."""
    written = Path(path)
    try:
        if folder is None or written.exists() or ".." in written.parts:
            return written
        ends = (Path(*written.parts[start:]) for start in range(written.is_absolute(), len(written.parts)))
        return next((folder / end for end in ends if (folder / end).is_file()), written)
    except OSError:  # a name that no file can have, as whoever opens it will say
        return written
