"""What a run has done, in OUT: `records.jsonl` as it grows, `failed.jsonl` and `run.json` at its end.

To resume is to skip what is there with the same settings, and whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ldznet_cli.errors import NothingToDo, UsageError
from ldznet_cli.inference.answering import Finish
from ldznet_cli.inference.outputs import FAILED, MANIFEST, RECORDS, OutputPlan
from ldznet_cli.inference.prompts import Prompt
from ldznet_cli.inference.record_file import Key, RecordFile, read_records
from ldznet_cli.samples.atomic import write_atomically
from ldznet_cli.samples.listing import ImageRef
from ldznet_cli.samples.record import Record


class Ledger:
    """The records of one OUT, made with these `settings`: all that decides an answer but image and phrase.

    `digest` is the settings' hash, which records carry; `finish` what they say of masks, as it is used. `resumed`
    counts the records that were found done, `left_out` those that other settings had made: their files stay until they
    are made anew, their records leave `records.jsonl`. Records are kept on disk, however many there are.
    """

    def __init__(
        self,
        plan: OutputPlan,
        settings: Mapping[str, Any],
        finish: Finish = Finish(),  # noqa: B008 (frozen)
        *,
        overwrite: bool = False,
        retry_failed: bool = False,
    ) -> None:
        """With `retry_failed`, `only` are the names of the images that the last run could not do, else None.

        Raises NothingToDo when that run had no failure, UsageError when it had other settings.
        """
        self.plan, self.settings, self.digest = plan, settings, digest_of_settings(settings)
        self.finish, self.overwrite = finish, overwrite
        self.only = _failed(plan.out, self.digest) if retry_failed else None
        self.resumed = 0
        (plan.out / MANIFEST).unlink(missing_ok=True)
        self._records = RecordFile(plan.out / RECORDS)
        self.left_out = self._records.open(self.digest)

    def find(self, image: ImageRef, prompt: Prompt, sha256: str, window: str | None = None) -> Record | None:
        """The record that this run would write, where it and its files are there; None where they are to be made."""
        key, paths = (image.name, prompt.label), self.plan.paths(image.name, prompt)
        record = None if self.overwrite or key not in self._records else self._records.get(key)
        if record is None or record.error is not None or not paths.whole():
            return None
        if (record.image.sha256, record.phrase, record.window) != (sha256, prompt.phrase, window):
            return None
        if (record.negatives or ()) != prompt.negatives:
            return None
        return replace(
            record, image=replace(record.image, path=str(image.path)), **self.files_of(image.name, prompt)
        )

    def files_of(self, image: str, prompt: Prompt) -> dict[str, Any]:
        """The fields of a record that say where its files are."""
        paths, named = self.plan.paths(image, prompt), ("mask", "prob", "overlay")
        files = {**paths.files, **self.plan.image_paths(image).files}
        others = {name: str(path) for name, path in files.items() if name not in named}
        return {**{name: paths.get(name) for name in named}, "files": others or None}

    def done(
        self, image: ImageRef, prompts: Sequence[Prompt], sha256: str, window: str | None = None
    ) -> dict[Prompt, Record]:
        """The records that are there. A file of the whole image needs all of its answers: then it is all or none."""
        found = {prompt: self.find(image, prompt, sha256, window) for prompt in prompts}
        there = {prompt: record for prompt, record in found.items() if record is not None}
        if not self.plan.images:
            return there
        whole = len(there) == len(found) and self.plan.image_paths(image.name).whole()
        return there if whole and not any(self._others(image.name, prompts)) else {}

    def scene_written(self, image: str, prompts: Sequence[Prompt]) -> None:
        """The files of the whole image tell of these prompts now, and so of no other."""
        for key in list(self._others(image, prompts)):
            self._records.forget(key)

    def recorded(self, planned: Callable[[], Iterable[Key]]) -> Recorded:
        """The records of these, in this order, as far as they are there."""
        return Recorded(self._records, planned)

    def add(self, record: Record) -> None:
        """Append one line; a line that does not fit on the disk is taken back. Raises DiskFull, LdznetError."""
        self._records.append(record)

    def close(self, planned: Iterable[Key]) -> None:
        """Put `records.jsonl` into the plan's order, what other runs have made after it; list what failed."""
        self._records.sort(planned, self.plan.out / FAILED)

    def write_manifest(self, content: Mapping[str, Any]) -> None:
        """Write `run.json`, the last file of a run that came to its end."""
        text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        write_atomically(self.plan.out / MANIFEST, text.encode())

    def _others(self, image: str, prompts: Sequence[Prompt]) -> Iterator[Key]:
        """The records of what was asked of the image once, and is not now."""
        asked = {prompt.label for prompt in prompts}
        keys = ((image, label) for label in self.settings.get("classes") or () if label not in asked)
        return (key for key in keys if key in self._records)


@dataclass(frozen=True)
class Recorded:
    """Records to be gone through, more than once if need be: they are read from the disk each time."""

    records: RecordFile
    planned: Callable[[], Iterable[Key]]

    def __iter__(self) -> Iterator[Record]:
        return self.records.each(self.planned())

    def complete(self) -> bool:
        """Whether none is missing."""
        return all(key in self.records for key in self.planned())

    def counted(self) -> tuple[int, int]:
        """(masks, failures)."""
        failed = [self.records.failed(key) for key in self.planned() if key in self.records]
        return failed.count(False), failed.count(True)


def digest_of_settings(settings: Mapping[str, Any]) -> str:
    """SHA-256 of JSON values, whatever the order of their names."""
    canonical = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _failed(out: Path, digest: str) -> frozenset[str]:
    records = list(read_records(out / FAILED))
    if not records:
        raise NothingToDo(f"nothing has failed in {out}: there is no {out / FAILED}")
    if any(record.settings != digest for record in records):
        raise UsageError(
            f"what failed in {out} failed with other settings: give the same ones, or leave --retry-failed out"
        )
    return frozenset(record.image.name for record in records)
