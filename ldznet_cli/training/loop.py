"""The training loop: a generator of events; bars, logs and messages belong to its caller."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader

from ldznet_cli.errors import Interrupted, LdznetError
from ldznet_cli.nets.transformer import use_plain_attention
from ldznet_cli.training import checkpoint
from ldznet_cli.training.checkpoint import Progress
from ldznet_cli.training.config import TrainConfig
from ldznet_cli.training.dataset import Batch, TrainingSet
from ldznet_cli.training.ema import Ema
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

    After N steps the weights are the same bits whether or not the run was interrupted (one CPU). `validate` scores
    the averaged net; `save_best` gets it, and its best threshold, whenever it is the best so far. When `stop` says
    so, a checkpoint is written and Interrupted raised. A loss that is not finite raises LdznetError with the samples.
    """
    accelerator = Accelerator(cpu=device == "cpu")
    net = run.net.to(accelerator.device).train()
    if accelerator.device.type == "cpu":
        use_plain_attention(net)
    ema = Ema(net, config.ema)
    optimizer = torch.optim.AdamW(
        net.parameters(),
        lr=config.learning_rate,
        betas=config.betas,
        weight_decay=config.weight_decay,
        fused=True,
    )
    newest = checkpoint.latest(run.folder)
    if newest is not None:
        run.progress = checkpoint.load(newest, net, ema, optimizer)
    model, optimizer = accelerator.prepare(net, optimizer)
    began = time.monotonic() - run.progress.seconds
    every = max(1, config.steps // CURVE_POINTS)
    for batch in _batches(data, config, run.progress.step, accelerator):
        rate = learning_rate(config, run.progress.step, run.progress.history)
        loss = _step(model, optimizer, batch.to(accelerator.device), rate, config, accelerator)
        ema.update(net)
        run.progress.step += 1
        run.progress.seconds = time.monotonic() - began
        step = run.progress.step
        _record(run.progress, loss, rate, every)
        yield TrainEvent("step", step, loss=loss, learning_rate=rate)
        last = step == config.steps
        if last or step % config.validate_every == 0:
            yield _validated(run, ema, validate, save_best, accelerator)
        if last or stop() or step % config.checkpoint_every == 0:
            yield _saved(run, ema, optimizer, config, accelerator)
        if stop() and not last:
            raise Interrupted(
                f"stopped after step {step} of {config.steps}; the same command goes on from there"
            )


def _batches(data: TrainingSet, config: TrainConfig, start: int, accelerator: Accelerator) -> Iterator[Batch]:
    """The batches of steps start, start + 1, ... for this process: step * processes + rank."""
    world, rank = accelerator.num_processes, accelerator.process_index
    numbers = range(start * world + rank, config.steps * world, world)
    workers = config.workers
    yield from DataLoader(
        data,
        batch_size=None,
        sampler=numbers,
        num_workers=workers,
        persistent_workers=workers > 0,
        worker_init_fn=_leave_interrupts_to_the_caller,
    )


def _leave_interrupts_to_the_caller(_worker: int) -> None:
    """Ctrl-C reaches every process of a terminal; `stop` decides what it means, and the last batch is still needed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    rate: float,
    config: TrainConfig,
    accelerator: Accelerator,
) -> float:
    for group in optimizer.param_groups:
        group["lr"] = rate
    lower = config.precision == "bfloat16"
    with torch.autocast(accelerator.device.type, torch.bfloat16, enabled=lower):
        logits: Tensor = model(batch.inputs, batch.text, batch.features)
    loss = binary_cross_entropy_with_logits(logits.float(), batch.target)
    value = loss.item()
    if not math.isfinite(value):
        raise LdznetError(
            f"the loss is {value} on {', '.join(batch.names)}; lower --learning-rate or look at these samples"
        )
    accelerator.backward(loss)
    if config.clip is not None:
        accelerator.clip_grad_norm_(model.parameters(), config.clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return value


def _record(progress: Progress, loss: float, rate: float, every: int) -> None:
    progress.losses.append(loss)
    if progress.step % every == 0:
        mean = sum(progress.losses) / len(progress.losses)
        progress.curve.append({"step": progress.step, "loss": mean, "learning_rate": rate})
        progress.losses.clear()


def _validated(
    run: Run,
    ema: Ema,
    validate: Callable[[nn.Module, int], Validation],
    save_best: Callable[[Run, nn.Module, float], None],
    accelerator: Accelerator,
) -> TrainEvent:
    result = validate(ema.net, run.progress.step)
    best = result.miou > max(run.progress.history, default=-math.inf)
    run.progress.validations.append({**result.to_dict(), "best": best})
    if best and accelerator.is_main_process:
        save_best(run, ema.net, result.threshold)
    return TrainEvent("validation", run.progress.step, validation=result, best=best)


def _saved(
    run: Run, ema: Ema, optimizer: torch.optim.Optimizer, config: TrainConfig, accelerator: Accelerator
) -> TrainEvent:
    if accelerator.is_main_process:
        checkpoint.save(run.folder, run.net, ema, optimizer, run.progress)
        checkpoint.prune(run.folder, config.keep)
    accelerator.wait_for_everyone()
    return TrainEvent("checkpoint", run.progress.step)
