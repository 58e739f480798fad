"""The log of a training: JSON lines that a person can follow, and that a plot or the model card is drawn from."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ldznet_cli.miniature.descent import StepRecord
from ldznet_cli.miniature.shards import Metrics

Entry = dict[str, Any]


class Logbook:
    """Lines appended to a file, one for 50 steps; their numbers are averaged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sums: Metrics = {}
        self._steps = 0

    def note(self, record: StepRecord) -> Entry | None:
        """Take in a step; the entry that was written, if one was."""
        self._steps += 1
        for key, value in record.metrics.items():
            self._sums[key] = self._sums.get(key, 0.0) + value
        if (record.step + 1) % 50:
            return None
        entry = self.write(
            step=record.step + 1,
            **_quotients({key: value / self._steps for key, value in self._sums.items()}),
            learning_rate=record.learning_rate,
            gradient_norm=record.gradient_norm,
            seconds=round(record.seconds, 1),
        )
        self._sums, self._steps = {}, 0
        return entry

    def write(self, **entry: Any) -> Entry:
        """Append one line, with the time of day."""
        entry = {"at": time.strftime("%Y-%m-%dT%H:%M:%S"), **entry}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        return entry


def _quotients(metrics: Metrics) -> Metrics:
    """`sum0` and `count0` become `band0`: the mean error of the samples that fell into the band."""
    bands = [key.removeprefix("count") for key in metrics if key.startswith("count")]
    means = {f"band{i}": metrics[f"sum{i}"] / max(metrics[f"count{i}"], 1e-9) for i in bands}
    return {key: value for key, value in metrics.items() if not key.startswith(("sum", "count"))} | means


def entries(path: Path) -> Iterator[Entry]:
    """The lines of a log, none when there is no file yet."""
    if path.exists():
        yield from (json.loads(line) for line in path.read_text("utf-8").splitlines() if line)


def training_seconds(log: Iterable[Entry]) -> float:
    """Seconds of training over all of its runs: `seconds` begins anew with each."""
    total, last = 0.0, 0.0
    for entry in log:
        seconds = float(entry.get("seconds", last))
        total += seconds - last if seconds >= last else seconds
        last = seconds
    return total
