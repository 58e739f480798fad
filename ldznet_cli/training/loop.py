"""The training loop: a generator of events; bars, logs and messages belong to its caller."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader, Dataset

from ldznet_cli.errors import Interrupted, LdznetError
from ldznet_cli.training import checkpoint, processes
from ldznet_cli.training.checkpoint import Progress
from ldznet_cli.training.config import TrainConfig
from ldznet_cli.training.dataset import Batch, TrainingSet
from ldznet_cli.training.learner import Learner
from ldznet_cli.training.schedule import learning_rate
from ldznet_cli.training.validation import Validation

CURVE_POINTS = 1000
"""About how many points the loss curve of a whole run has."""


@dataclass(frozen=True)
class TrainEvent:
    """One thing that happened after `step` optimiser steps: a step, a validation, or a checkpoint written."""

    kind: Literal["step", "validation", "checkpoint"]
    step: int
    loss: float | None = None
    learning_rate: float | None = None
    validation: Validation | None = None
    best: bool = False


@dataclass
class Run:
    """A net in training, how far it has come, and the folder it is kept in."""

    folder: Path
    net: nn.Module
    progress: Progress = field(default_factory=Progress)


def train(
    config: TrainConfig,
    run: Run,
    data: TrainingSet,
    *,
    validate: Callable[[nn.Module, int], Validation],
    save_best: Callable[[Run, nn.Module, float], None],
    stop: Callable[[], bool] = lambda: False,
    device: str = "cpu",
) -> Iterator[TrainEvent]:
    """Trains `run.net` in place up to `config.steps`, from the folder's newest checkpoint if there is one.

    After N steps the weights are the same bits whether or not the run was interrupted (one CPU); several processes,
    or several passes, share each batch and change them by rounding alone. `validate` scores the averaged net;
    `save_best` gets it, and its best threshold, whenever it is the best so far. When `stop` says so, in any of the
    processes, a checkpoint is written and Interrupted raised. A loss that is not finite raises LdznetError with the
    samples.
    """
    accelerator = processes.join(device)
    learner = Learner(run.net.to(accelerator.device).train(), config, accelerator)
    newest = checkpoint.latest(run.folder)
    if newest is not None:
        run.progress = learner.restore(newest)
    began = time.monotonic() - run.progress.seconds
    every = max(1, config.steps // CURVE_POINTS)
    for batches in _steps(data, config, run.progress.step, accelerator):
        rate = learning_rate(config, run.progress.step, run.progress.history)
        loss = learner.step(batches, rate)
        run.progress.step += 1
        run.progress.seconds = time.monotonic() - began
        step = run.progress.step
        _record(run.progress, loss, rate, every)
        yield TrainEvent("step", step, loss=loss, learning_rate=rate)
        last = step == config.steps
        if last or step % config.validate_every == 0:
            yield _validated(run, learner, validate, save_best)
        stopping = processes.total(accelerator, float(stop())) > 0
        if last or stopping or step % config.checkpoint_every == 0:
            yield _saved(run, learner, config)
        if stopping and not last:
            raise Interrupted(
                f"stopped after step {step} of {config.steps}; the same command goes on from there"
            )


def _steps(
    data: TrainingSet, config: TrainConfig, start: int, accelerator: Accelerator
) -> Iterator[list[Batch]]:
    """This process's batches of the steps start, start + 1, ...: for each step as many as there are passes."""
    shared = data.shared(processes.share(accelerator, config.passes))
    loader = DataLoader(
        _Told(shared),
        batch_size=None,
        sampler=range(start * config.passes, config.steps * config.passes),
        num_workers=config.workers,
        persistent_workers=config.workers > 0,
        worker_init_fn=_leave_interrupts_to_the_caller,
    )
    passes = iter(loader)
    for _ in range(start, config.steps):
        yield [_whole(next(passes)) for _ in range(config.passes)]


class _Told(Dataset[Batch | LdznetError]):
    """Batches of `data`, or why there is none: an error raised in a worker would come out as its traceback."""

    def __init__(self, data: TrainingSet) -> None:
        self.data = data

    def __getitem__(self, number: int) -> Batch | LdznetError:
        try:
            return self.data[number]
        except LdznetError as error:
            return error


def _whole(found: Batch | LdznetError) -> Batch:
    if isinstance(found, LdznetError):
        raise found
    return found


def _leave_interrupts_to_the_caller(_worker: int) -> None:
    """Ctrl-C reaches every process of a terminal; `stop` decides what it means, and the last batch is still needed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _record(progress: Progress, loss: float, rate: float, every: int) -> None:
    progress.losses.append(loss)
    if progress.step % every == 0:
        mean = sum(progress.losses) / len(progress.losses)
        progress.curve.append({"step": progress.step, "loss": mean, "learning_rate": rate})
        progress.losses.clear()


def _validated(
    run: Run,
    learner: Learner,
    validate: Callable[[nn.Module, int], Validation],
    save_best: Callable[[Run, nn.Module, float], None],
) -> TrainEvent:
    result = validate(learner.ema.net, run.progress.step)
    best = result.miou > max(run.progress.history, default=-math.inf)
    run.progress.validations.append({**result.to_dict(), "best": best})
    if best and learner.accelerator.is_main_process:
        save_best(run, learner.ema.net, result.threshold)
    return TrainEvent("validation", run.progress.step, validation=result, best=best)


def _saved(run: Run, learner: Learner, config: TrainConfig) -> TrainEvent:
    if learner.accelerator.is_main_process:
        learner.save(run.folder, run.progress)
        checkpoint.prune(run.folder, config.keep)
    learner.accelerator.wait_for_everyone()
    return TrainEvent("checkpoint", run.progress.step)
