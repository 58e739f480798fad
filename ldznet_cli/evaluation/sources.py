"""Where predictions come from: a path, a stream of records, arrays; all become a source of answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ldznet_cli.errors import UsageError
from ldznet_cli.evaluation.answer import Answers
from ldznet_cli.evaluation.arrays import PredictedArrays
from ldznet_cli.evaluation.coco_results import CocoResults
from ldznet_cli.evaluation.mask_folder import PATTERNS, MaskFolder
from ldznet_cli.evaluation.records import RECORDS_FILE, RecordedAnswers
from ldznet_cli.samples.coco import SampleSet
from ldznet_cli.samples.record import Record
from ldznet_cli.samples.record_lines import latest_lines

Given = str | Path | Mapping[tuple[str, str], NDArray[Any]] | Iterable[Record | str | bytes]


def open_predictions(given: Given, samples: SampleSet, source: str = "records") -> Answers:
    """A path is segment's folder (with `records.jsonl`), a folder of named masks, a file of records, or COCO results
    (`.json`); a mapping {(image name, phrase): array} holds predictions in memory; anything else is records or their
    lines, one by one.

    Raises UsageError for a path that does not exist, and what `MaskFolder` and `CocoResults` raise. Pixels are read
    when asked for.
    """
    if isinstance(given, str | Path):
        return _at(Path(given), samples)
    if isinstance(given, Mapping):
        return PredictedArrays(given)
    return RecordedAnswers(given, source=source)


def _at(path: Path, samples: SampleSet) -> Answers:
    if path.is_dir():
        records = path / RECORDS_FILE
        if records.is_file():
            return RecordedAnswers(latest_lines(records), source=str(records), folder=path)
        return MaskFolder(path, samples)
    if not path.is_file():
        raise UsageError(
            f"{path} does not exist: expected segment's folder, a file of records, COCO results, or {PATTERNS}"
        )
    if path.suffix == ".json":
        return CocoResults(path, samples)
    return RecordedAnswers(_lines(path), source=str(path), folder=path.parent)


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from file
