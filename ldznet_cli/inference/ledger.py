"""What a run has done, in OUT: `records.jsonl` as it grows, `failed.jsonl` and `run.json` at its end.

To resume is to skip what is there with the same settings, and whole.
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ldznet_cli.errors import AnnotationError, DiskFull, LdznetError, NothingToDo, UsageError
from ldznet_cli.inference.answering import Finish
from ldznet_cli.inference.outputs import FAILED, MANIFEST, RECORDS, OutputPlan
from ldznet_cli.inference.prompts import Prompt
from ldznet_cli.samples.atomic import write_atomically
from ldznet_cli.samples.listing import ImageRef
from ldznet_cli.samples.record import Record, parse, to_json

Key = tuple[str, str]
"""The image's name and the label: what the files of a record are called by."""


class Ledger:
    """The records of one OUT, made with these `settings`: all that decides an answer but image and phrase.

    `digest` is the settings' hash, which records carry; `finish` what they say of masks, as it is used. `resumed`
    counts the records that were found done, `left_out` those that other settings had made: their files stay until they
    are made anew, their records leave `records.jsonl`.
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
        self.finish = finish
        self.only = _failed(plan.out, self.digest) if retry_failed else None
        former = read_records(plan.out / RECORDS)
        self._records = {_key(record): record for record in former if record.settings == self.digest}
        self._done = {} if overwrite else dict(self._records)
        self.left_out = len(former) - len(self._records)
        self.resumed = 0
        (plan.out / MANIFEST).unlink(missing_ok=True)
        if former:
            self._rewrite(self._records.values())

    def find(self, image: ImageRef, prompt: Prompt, sha256: str) -> Record | None:
        """The record that this run would write, where it and its files are there; None where they are to be made."""
        record = self._done.get((image.name, prompt.label))
        paths = self.plan.paths(image.name, prompt)
        if record is None or record.error is not None or not paths.whole():
            return None
        if (record.image.sha256, record.phrase) != (sha256, prompt.phrase):
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

    def done(self, image: ImageRef, prompts: Sequence[Prompt], sha256: str) -> dict[Prompt, Record]:
        """The records that are there. A file of the whole image needs all of its answers: then it is all or none."""
        found = {prompt: self.find(image, prompt, sha256) for prompt in prompts}
        there = {prompt: record for prompt, record in found.items() if record is not None}
        if self.plan.images and (len(there) < len(found) or not self.plan.image_paths(image.name).whole()):
            return {}
        return there

    def recorded(self, planned: Iterable[Key]) -> list[Record]:
        """The records of these, in this order, as far as they are there."""
        return [self._records[key] for key in planned if key in self._records]

    def add(self, record: Record) -> None:
        """Append one line; a line that does not fit on the disk is taken back. Raises DiskFull, LdznetError."""
        path = self.plan.out / RECORDS
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab", buffering=0) as file:
                _append(file, (to_json(record) + "\n").encode())
        except OSError as error:
            raise _failure(path, error) from error
        self._records[_key(record)] = record

    def close(self, planned: Iterable[Key]) -> None:
        """Put `records.jsonl` into the plan's order, what other runs have made after it; list what failed."""
        order = list(dict.fromkeys([*planned, *self._records]))
        records = [self._records[key] for key in order if key in self._records]
        self._rewrite(records)
        failed = [record for record in records if record.error is not None]
        if failed:
            write_atomically(self.plan.out / FAILED, _lines(failed))
        else:
            (self.plan.out / FAILED).unlink(missing_ok=True)

    def write_manifest(self, content: Mapping[str, Any]) -> None:
        """Write `run.json`, the last file of a run that came to its end."""
        text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        write_atomically(self.plan.out / MANIFEST, text.encode())

    def _rewrite(self, records: Iterable[Record]) -> None:
        write_atomically(self.plan.out / RECORDS, _lines(records))


def read_records(path: Path) -> list[Record]:
    """The records of a file, none where it is not there. A line that is none (the last one of a run that was killed) is
    left out: what it told of is made anew."""
    records = []
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise LdznetError(f"{path}: cannot be read ({error.strerror}): name another --out") from error
    for line in lines:
        try:
            records.append(parse(line.decode()))
        except (AnnotationError, UnicodeDecodeError):
            continue
    return records


def digest_of_settings(settings: Mapping[str, Any]) -> str:
    """SHA-256 of JSON values, whatever the order of their names."""
    canonical = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _failed(out: Path, digest: str) -> frozenset[str]:
    records = read_records(out / FAILED)
    if not records:
        raise NothingToDo(f"nothing has failed in {out}: there is no {out / FAILED}")
    if any(record.settings != digest for record in records):
        raise UsageError(
            f"what failed in {out} failed with other settings: give the same ones, or leave --retry-failed out"
        )
    return frozenset(record.image.name for record in records)


def _key(record: Record) -> Key:
    return record.image.name, record.label


def _lines(records: Iterable[Record]) -> bytes:
    return "".join(to_json(record) + "\n" for record in records).encode()


def _append(file: Any, line: bytes) -> None:
    """Unbuffered: what the disk did not take is known at once, and what it took of it is cut off again."""
    start = file.seek(0, 2)
    try:
        written = file.write(line)
        if written != len(line):
            raise OSError(errno.ENOSPC, "no space left on the device")
    except OSError:
        with suppress(OSError):  # the first fault is the one to tell of
            file.truncate(start)
        raise


def _failure(path: Path, error: OSError) -> LdznetError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DiskFull(f"{path}: no space left to write to: free some, or name another folder")
    return LdznetError(f"{path}: cannot be written ({error.strerror}): name another folder")
