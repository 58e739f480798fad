"""The processes of one training, one for each device (`accelerate launch`): alone, all of this is nothing."""

from __future__ import annotations

import os
from typing import TypeVar

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import gather_object
from torch import Tensor

from ldznet_cli.training.order import Share

T = TypeVar("T")


def join(device: str) -> Accelerator:
    """This process's place among the others. The precision is `TrainConfig`'s, whatever Accelerate is configured to."""
    if device.startswith("cuda:") and "LOCAL_RANK" not in os.environ:
        torch.cuda.set_device(device)  # which Accelerate takes for a process that is alone
    return Accelerator(cpu=device == "cpu", mixed_precision="no")


def wait(device: torch.device) -> None:
    """Until the device has done all that it was given: a CUDA device works on while Python goes ahead."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def is_main() -> bool:
    """Whether this process is the one that talks and writes; known before anything is set up."""
    return int(os.environ.get("RANK", "0")) == 0


def count() -> int:
    """How many there are, once they have joined."""
    found: int = PartialState().num_processes
    return found


def share(accelerator: Accelerator, passes: int) -> Share:
    """The part of every batch that falls to this process."""
    return Share(accelerator.process_index, accelerator.num_processes, passes)


def total(accelerator: Accelerator, value: float) -> float:
    """The sum of `value` over all processes."""
    if accelerator.num_processes == 1:
        return value
    summed: Tensor = accelerator.reduce(torch.tensor(value, device=accelerator.device), "sum")
    return float(summed)


def gathered(rows: list[T]) -> list[T]:
    """The rows of all processes, one process after the other."""
    found: list[T] = gather_object(rows)
    return found
