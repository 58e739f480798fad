"""What `ldznet segment` says: records in a pipe, a table for people, the last line, the exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ldznet_cli.cli import console
from ldznet_cli.errors import Interrupted, SomeItemsFailed

if TYPE_CHECKING:
    from ldznet_cli.inference import Ledger, Task
    from ldznet_cli.samples.record import Record

_FEW = 24
"""Records that a table names one by one; of more it tells by label."""


_ROUGH = 0.98
"""Polygons with a lower IoU with their mask are warned of."""


@dataclass
class _Sums:
    """Of one label's records."""

    masks: int = 0
    not_empty: int = 0
    score: float = 0.0

    def add(self, record: Record) -> None:
        self.masks += 1
        self.not_empty += bool(record.area)
        self.score += record.score or 0.0


class Report:
    """Told of each record as it comes, it prints what is to be printed; `end` raises what the exit code is to say."""

    def __init__(
        self,
        tasks: Sequence[Task],
        ledger: Ledger,
        *,
        as_json: bool,
        jsonl: bool,
        max_errors: int | None = None,
    ) -> None:
        chosen = [task for task in tasks if ledger.only is None or task.image.name in ledger.only]
        self.total = sum(len(task.prompts) for task in chosen)
        self.images, self.ledger, self.as_json, self.max_errors = len(chosen), ledger, as_json, max_errors
        self.lines = jsonl or not (as_json or _on_a_terminal())
        self.told = 0
        self.failed: dict[tuple[str, str], str] = {}
        self._few: list[Record] = []
        self._labels: dict[str, _Sums] = {}
        self._rough = 0
        self._roughest = (1.0, "")

    def too_many(self) -> bool:
        """Whether as many images have failed as are let through."""
        return self.max_errors is not None and len(self.failed) >= self.max_errors

    def begin(self, *, told: bool) -> None:
        """Say where files go when nobody said so, and what happens to the results of other settings."""
        out = self.ledger.plan.out
        if not told:
            console.say(f"ldznet: files go to ./{out} (choose with --out)")
        if self.ledger.left_out:
            console.say(
                f"ldznet: {self.ledger.left_out} results in {out} come from other settings: what is asked for is made "
                "anew over them, the others stay"
            )

    def add(self, record: Record, shown: console.Progress) -> None:
        """Raises PipeClosed when nobody reads the records any more."""
        from ldznet_cli.samples.record import to_json

        self.told += 1
        image = (record.image.path, record.image.name)
        if record.error is not None and image not in self.failed:
            self.failed[image] = record.error
            console.warn(record.error)
            shown.note(failed=len(self.failed))
        if len(self._few) <= _FEW:
            self._few.append(record)
        if record.error is None:
            self._labels.setdefault(record.label, _Sums()).add(record)
        if record.polygon_iou is not None and record.polygon_iou < _ROUGH:
            self._rough += 1
            self._roughest = min(self._roughest, (record.polygon_iou, f"{record.image.name}, {record.label}"))
        if self.lines:
            console.emit(to_json(record))
        shown.advance()

    def end(self) -> None:
        """The table or the summary, the last line. Raises Interrupted, SomeItemsFailed."""
        out = self.ledger.plan.out
        if self.told < self.total and self.too_many():
            raise SomeItemsFailed(
                f"stopped after {len(self.failed)} failed images (--max-errors), {self.told} of {self.total} masks are "
                f"in {out}: see {out / 'failed.jsonl'}; {self._again()} goes on"
            )
        if self.told < self.total:
            raise Interrupted(
                f"interrupted: {self.told} of {self.total} masks are in {out}, all of them whole; "
                f"{self._again()} makes the rest"
            )
        if self.as_json:
            console.emit(json.dumps(self._summary(), sort_keys=True))
        elif not self.lines:
            self._table()
        if self._rough:
            worst, where = self._roughest
            console.warn(
                f"the polygons of {self._rough} masks keep less than {_ROUGH:.0%} of them (IoU; worst "
                f"{worst:.2f}: {where}): records have each one's polygon_iou, --min-area drops specks"
            )
        resumed = f", {self.ledger.resumed} of them there already" if self.ledger.resumed else ""
        console.say(
            f"ldznet: {self._masks()} masks of {self.images - len(self.failed)} images in {out}{resumed}"
        )
        if self.failed:
            raise SomeItemsFailed(
                f"{len(self.failed)} of {self.images} images failed: see {out / 'failed.jsonl'}; the others are done"
            )

    def _again(self) -> str:
        """With --overwrite it would begin at the first image again."""
        return "the same command without --overwrite" if self.ledger.overwrite else "the same command"

    def _masks(self) -> int:
        return sum(sums.masks for sums in self._labels.values())

    def _summary(self) -> dict[str, object]:
        return {
            "out": str(self.ledger.plan.out),
            "images": self.images,
            "masks": self._masks(),
            "resumed": self.ledger.resumed,
            "failed": [{"image": path, "error": error} for (path, _), error in self.failed.items()],
            "settings": self.ledger.settings,
            "settings_digest": self.ledger.digest,
        }

    def _table(self) -> None:
        if len(self._few) <= _FEW:
            rows = [
                (record.image.name, record.label, f"{record.score:.2f}", _share(record), record.mask or "")
                for record in self._few
                if record.score is not None
            ]
            console.table("", ("image", "label", "score", "of the image", "mask"), rows)
            return
        summed = [
            (label, sums.masks, sums.not_empty, f"{sums.score / sums.masks:.2f}")
            for label, sums in self._labels.items()
        ]
        console.table("", ("label", "images", "with a mask", "mean score"), summed)


def _on_a_terminal() -> bool:
    return sys.stdout.isatty()


def _share(record: Record) -> str:
    pixels = (record.image.width or 1) * (record.image.height or 1)
    return f"{100 * (record.area or 0) / pixels:.1f} %"
