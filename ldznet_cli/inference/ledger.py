"""What a run has done, in OUT: `records.jsonl` as it grows, `failed.jsonl` and `run.json` at its end.

To resume is to skip what is there with the same settings, and whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from ldznet_cli.errors import ImageError, NothingToDo, UsageError
from ldznet_cli.features.key import digest
from ldznet_cli.inference.answering import Finish
from ldznet_cli.inference.outputs import FAILED, MANIFEST, RECORDS, OutputPlan
from ldznet_cli.inference.prompts import Prompt, Task
from ldznet_cli.inference.record_file import Key, RecordFile, read_records
from ldznet_cli.samples.atomic import write_atomically
from ldznet_cli.samples.images import sha256_of, shown
from ldznet_cli.samples.listing import ImageRef
from ldznet_cli.samples.lock import locked
from ldznet_cli.samples.record import Record, RecordImage


class Ledger:
    """The records of one OUT, made with these `settings`: all that decides an answer but image and phrase.

    `digest` is the settings' hash, which records carry; `finish` what they say of masks, as it is used. `resumed`
    counts the records that were found done, `left_out` those that other settings had made: their files and their lines
    in `records.jsonl` stay until they are made anew. Records are kept on disk, however many there are. Nothing is
    written before `running`; `tell` hears, in one line, of what a run there should know.
    """

    def __init__(
        self,
        plan: OutputPlan,
        settings: Mapping[str, Any],
        finish: Finish = Finish(),  # noqa: B008 (frozen)
        *,
        overwrite: bool = False,
        retry_failed: bool = False,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """With `retry_failed`, `only` are the names of the images that the last run could not do, whether it came to
        its end or not, else None.

        Raises NothingToDo when that run had no failure, UsageError when it had other settings.
        """
        self.plan, self.settings, self.digest = plan, settings, digest(settings)
        self.finish, self.overwrite, self.tell = finish, overwrite, tell
        self.resumed = 0
        self._records = RecordFile(plan.out / RECORDS)
        self._records.open(self.digest)
        self.left_out = self._records.left_out
        self.only = self._failed() if retry_failed else None

    @contextmanager
    def running(self, tasks: Sequence[Task]) -> Iterator[None]:
        """While the block lasts OUT belongs to this run, which is to make these tasks.

        With `overwrite` their records go first, so that the rest of a run that was stopped is known to be missing.
        Raises UsageError when another run is at work in OUT, or when masks there are those of other images that have
        the same names; DiskFull, LdznetError.
        """
        with locked(self.plan.out, self.tell):
            if self._records.changed():  # by a run that was at work there until now
                self._records.open(self.digest)
            chosen = [task for task in tasks if self.only is None or task.image.name in self.only]
            if not self.overwrite:
                self._refuse_other_images(chosen)
            self._records.mend()
            (self.plan.out / MANIFEST).unlink(missing_ok=True)
            if self.overwrite:
                self._drop(chosen)
            yield

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
        self._records.forget_others(image)

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
        text = json.dumps(content, indent=2, sort_keys=True) + "\n"  # ASCII: a model's path may be no UTF-8
        write_atomically(self.plan.out / MANIFEST, text.encode())

    def _others(self, image: str, prompts: Sequence[Prompt]) -> Iterator[Key]:
        """The records of what was asked of the image once, and is not now."""
        asked = {prompt.label for prompt in prompts}
        keys = ((image, label) for label in self.settings.get("classes") or () if label not in asked)
        return (key for key in keys if key in self._records)

    def _drop(self, tasks: Iterable[Task]) -> None:
        for key in (key for task in tasks for key in keys_of(task)):
            self._records.forget(key)
        self._records.sort((), self.plan.out / FAILED)

    def _refuse_other_images(self, tasks: Iterable[Task]) -> None:
        """Names begin at what the images of one command have in common: in another command they may mean others."""
        hashed = cache(sha256_of)
        for task in tasks:
            there = next((found for key in keys_of(task) if (found := self._records.latest(key))), None)
            if there is not None and _is_another(there.image, task.image.path, hashed):
                raise UsageError(
                    f"the masks of {shown(task.image.path)} would replace those of {shown(Path(there.image.path))} in "
                    f"{self.plan.out}: both images are called {shown(Path(task.image.name))} there: give this run "
                    "another --out, or --overwrite"
                )

    def _failed(self) -> frozenset[str]:
        """Of `records.jsonl`: a run that was killed has written no `failed.jsonl`."""
        failed = frozenset(record.image.name for record in self._records.failures())
        if failed:
            return failed
        if any(record.settings != self.digest for record in read_records(self.plan.out / FAILED)):
            raise UsageError(
                f"what failed in {self.plan.out} failed with other settings: give the same ones, or leave "
                "--retry-failed out"
            )
        raise NothingToDo(f"nothing has failed in {self.plan.out}: leave --retry-failed out")


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


def keys_of(task: Task) -> Iterator[Key]:
    """What the records of a task are found by."""
    return ((task.image.name, prompt.label) for prompt in task.prompts)


def _is_another(recorded: RecordImage, path: Path, hashed: Callable[[Path], str]) -> bool:
    """Whether the image of a record is still where it was, and is not the one at `path`, nor a copy of it."""
    former = Path(recorded.path)
    if recorded.sha256 is None or former == path:
        return False
    try:
        return former.is_file() and not former.samefile(path) and hashed(path) != recorded.sha256
    except (OSError, ImageError):  # one that cannot be read has no mask
        return False
