"""Predictions as a folder of PNG files that are named after image and phrase: from any program."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath

from ldznet_cli.errors import NothingToDo, UsageError
from ldznet_cli.evaluation.answer import Answer, ImageKey
from ldznet_cli.metrics import Prediction
from ldznet_cli.samples.coco import SampleSet
from ldznet_cli.samples.masks import read_mask, read_prob
from ldznet_cli.samples.sample import Sample

PROB, MASK, OVERLAY = ".prob.png", ".png", ".overlay.png"

PATTERNS = "IMAGE/PHRASE.png or IMAGE_PHRASE.png (a mask), or .prob.png (16-bit probabilities)"


class MaskFolder:
    """`street/0001/red-lamp.png`, `0001_red lamp.png`, …: letters and digits have to agree, what joins them need not.

    An image that has one phrase only may also have its file under its own name alone. Probabilities (`.prob.png`,
    16-bit grey) go before masks; they are cut at 0.5 where a protocol asks for the prediction's own threshold.
    Raises NothingToDo for a folder without such files, UsageError where two samples would have the same one.
    """

    def __init__(self, folder: Path, samples: SampleSet) -> None:
        self.source = str(folder)
        self._folder = folder
        self._files = _index(folder)
        self._owners = _owners(self._files, samples)

    def __iter__(self) -> Iterator[Answer]:
        for path in self._files.values():
            owner = self._owners.get(path)
            name = path.relative_to(self._folder).as_posix() if owner is None else owner.image.name
            yield self._answer(path, name, "" if owner is None else owner.phrase)

    def _answer(self, path: Path, name: str, phrase: str) -> Answer:
        load: Callable[[], Prediction] = partial(_load, path)
        return Answer(ImageKey(name), phrase, load, where=str(path))


def _load(path: Path) -> Prediction:
    if path.name.endswith(PROB):
        return Prediction(read_prob(path))
    return Prediction(mask=read_mask(path))


def _index(folder: Path) -> dict[str, Path]:
    """Every mask or probability file by what its name says, probabilities before masks."""
    found: dict[str, Path] = {}
    files = [path for path in sorted(folder.rglob(f"*{MASK}")) if not path.name.endswith(OVERLAY)]
    for path in sorted(files, key=lambda path: not path.name.endswith(PROB)):
        name = path.relative_to(folder).as_posix()
        found.setdefault(_plain(name.removesuffix(PROB).removesuffix(MASK)), path)
    if not found:
        raise NothingToDo(f"{folder}: no predictions: expected records.jsonl, or {PATTERNS}")
    return found


def _owners(files: Mapping[str, Path], samples: SampleSet) -> dict[Path, Sample]:
    """The sample that each file is about; one of them where each annotation is a sample."""
    owners: dict[Path, Sample] = {}
    for group in samples.by_image().values():
        phrases = {sample.phrase: sample for sample in group}
        for sample in phrases.values():
            stem = PurePosixPath(sample.image.name).with_suffix("").as_posix()
            keys = [_plain(f"{stem} {sample.phrase}"), *([_plain(stem)] if len(phrases) == 1 else [])]
            path = next((files[key] for key in keys if key in files), None)
            if path is not None:
                _claim(owners, path, sample)
    return owners


def _claim(owners: dict[Path, Sample], path: Path, sample: Sample) -> None:
    other = owners.setdefault(path, sample)
    if other is not sample:
        raise UsageError(
            f"{path} could be {other.phrase!r} in {other.image.name} or {sample.phrase!r} in {sample.image.name}: "
            "rename it, or give records"
        )


def _plain(text: str) -> str:
    """Letters and digits in small letters, everything between them one hyphen."""
    return re.sub(r"[\W_]+", "-", unicodedata.normalize("NFC", text.casefold())).strip("-")
