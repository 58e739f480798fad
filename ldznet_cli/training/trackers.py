"""A run's course for the tools that people watch trainings with: TensorBoard, Weights & Biases."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from ldznet_cli.errors import UsageError
from ldznet_cli.training.loop import TrainEvent

Settings = Mapping[str, Any]


@runtime_checkable
class Tracker(Protocol):
    """Takes named numbers, each with the optimiser steps that were done."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Adds a point to each named curve."""
        ...

    def close(self) -> None:
        """Writes out what is still in memory."""
        ...


class Recorder:
    """The fake: keeps (step, values) in a list."""

    def __init__(self) -> None:
        self.points: list[tuple[int, dict[str, float]]] = []

    def log(self, values: Mapping[str, float], step: int) -> None:
        self.points.append((step, dict(values)))

    def close(self) -> None:
        """Nothing is left to write."""


class TensorBoard:
    """Event files in RUN/tensorboard; steps that a resumed run does again replace the former ones."""

    def __init__(self, run: Path, _settings: Settings, start: int) -> None:
        self._writer = self.needs()(run / "tensorboard", purge_step=start + 1)

    @staticmethod
    def needs() -> Any:
        """PyTorch's writer. Raises UsageError where TensorBoard is not installed."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UsageError(
                "--track tensorboard needs TensorBoard: pip install 'ldznet-cli[tensorboard]'"
            ) from error
        return SummaryWriter

    def log(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class WeightsAndBiases:
    """A run of the project "ldznet", or of WANDB_PROJECT, named like the run folder; a resumed one goes on in it.

    WANDB_MODE=offline keeps it on this machine.
    """

    def __init__(self, run: Path, settings: Settings, start: int) -> None:
        wandb = self.needs()
        project = os.environ.get("WANDB_PROJECT", "ldznet")
        note = run / "wandb" / "run-id.txt"
        known = {"id": note.read_text("utf-8"), "resume": "allow"} if start and note.exists() else {}
        try:
            self._run = wandb.init(project=project, name=run.name, dir=run, config=dict(settings), **known)
        except wandb.Error as error:
            raise UsageError(
                f"--track wandb: {error}; run `wandb login`, or set WANDB_MODE=offline to keep it on this machine"
            ) from error
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(self._run.id, "utf-8")

    @staticmethod
    def needs() -> Any:
        """The package. Raises UsageError where it is not installed."""
        try:
            import wandb  # type: ignore[import-not-found]
        except ImportError as error:
            raise UsageError("--track wandb needs Weights & Biases: pip install wandb") from error
        return wandb

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        self._run.finish()


TRACKERS: Mapping[str, type[TensorBoard | WeightsAndBiases]] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
}


def require(names: Sequence[str]) -> None:
    """Raises UsageError where what one of these trackers needs is not installed: before a run begins, or is deleted."""
    for name in names:
        TRACKERS[name].needs()


@contextmanager
def tracked(names: Sequence[str], run: Path, settings: Settings, start: int) -> Iterator[list[Tracker]]:
    """The trackers by their names in TRACKERS, for a run that has done `start` steps.

    They are closed at the end, however it ends.

    Raises UsageError where what one of them needs is not installed.
    """
    with ExitStack() as stack:
        trackers: list[Tracker] = [TRACKERS[name](run, settings, start) for name in names]
        for tracker in trackers:
            stack.callback(tracker.close)
        yield trackers


def tell(event: TrainEvent, trackers: Sequence[Tracker]) -> None:
    """The numbers of a step or of a validation, to each of `trackers`."""
    values = _numbers(event)
    for tracker in trackers if values else ():
        tracker.log(values, event.step)


def _numbers(event: TrainEvent) -> dict[str, float]:
    if event.loss is not None and event.learning_rate is not None:
        return {"train/loss": event.loss, "train/learning_rate": event.learning_rate}
    if event.validation is not None:
        found = event.validation
        return {
            "validation/mIoU": found.miou,
            "validation/threshold": found.threshold,
            "validation/mIoU_at_half": found.at_half,
        }
    return {}
