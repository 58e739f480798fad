"""A batch's gradient, summed in parts: each part by a process of its own on one thread, so that nothing waits but once.

All parameters lie in one flat vector in shared memory; whatever is random in a step is the objective's, a function of
(seed, step).
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Protocol

import torch
from torch import Tensor, multiprocessing, nn

from ldznet_cli.errors import ModelError

Metrics = dict[str, float]


class Objective(Protocol):
    """What is trained. Picklable: every shard's process makes its own module of it."""

    def module(self) -> nn.Module:
        """The network, initialised from the objective's seed."""

    def loss(self, module: nn.Module, step: int, shard: int, shards: int) -> tuple[Tensor, Metrics]:
        """The mean loss over this shard of step's batch, a scalar with a gradient, and numbers for the log."""

    def rates(self) -> Mapping[str, float]:
        """Factor on the learning rate by the prefix of a parameter's name; 1 where none fits."""


def flatten(module: nn.Module, flat: Tensor) -> None:
    """Let every parameter of `module` be a view of the float32 vector `flat`, in the module's order."""
    start = 0
    for parameter in module.parameters():
        view = flat[start : start + parameter.numel()].view_as(parameter)
        parameter.data = view
        start += parameter.numel()


def named(module: nn.Module, flat: Tensor) -> dict[str, Tensor]:
    """The vector cut into tensors of the parameters' names and shapes (copies)."""
    sizes = [parameter.numel() for parameter in module.parameters()]
    parts = zip(module.named_parameters(), flat.split(sizes), strict=True)
    return {name: part.view(parameter.shape).clone() for (name, parameter), part in parts}


def gather(module: nn.Module, tensors: Mapping[str, Tensor]) -> Tensor:
    """The inverse of `named`. Raises ModelError for a missing name or another shape."""
    for name, parameter in module.named_parameters():
        found = tuple(tensors[name].shape) if name in tensors else None
        if found != tuple(parameter.shape):
            raise ModelError(f"checkpoint: {name} should be {tuple(parameter.shape)}, found {found}")
    return torch.cat([tensors[name].reshape(-1).float() for name, _ in module.named_parameters()])


def _gradient(module: nn.Module, loss: Tensor, out: Tensor) -> None:
    gradients = torch.autograd.grad(loss, list(module.parameters()), allow_unused=True)
    start = 0
    for parameter, gradient in zip(module.parameters(), gradients, strict=True):
        part = out[start : start + parameter.numel()]
        part.zero_() if gradient is None else part.copy_(gradient.reshape(-1))
        start += parameter.numel()


def _work(objective: Objective, flat: Tensor, out: Tensor, shard: int, shards: int, pipe: Connection) -> None:
    """A shard's process: waits for a step's number, leaves the gradient in `out`, answers with the numbers."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process: the caller's decides
    module = objective.module()
    flatten(module, flat)
    while True:
        try:
            step = pipe.recv()
        except EOFError:
            return
        loss, metrics = objective.loss(module, step, shard, shards)
        _gradient(module, loss, out)
        pipe.send(metrics)


class Shards:
    """The processes that sum a batch's gradient. The caller's own process does shard 0."""

    def __init__(self, objective: Objective, module: nn.Module, shards: int) -> None:
        self.objective, self.module, self.count = objective, module, shards
        self.flat = torch.cat([p.detach().reshape(-1).float() for p in module.parameters()]).share_memory_()
        self.gradients = torch.zeros(shards, self.flat.numel()).share_memory_()
        flatten(module, self.flat)
        context = multiprocessing.get_context("spawn")
        self.pipes: list[Connection] = []
        for shard in range(1, shards):
            ours, theirs = context.Pipe()
            arguments = (objective, self.flat, self.gradients[shard], shard, shards, theirs)
            context.Process(target=_work, args=arguments, daemon=True).start()
            theirs.close()
            self.pipes.append(ours)

    def gradient(self, step: int) -> tuple[Tensor, Metrics]:
        """The whole batch's gradient, and the numbers averaged over the shards."""
        for pipe in self.pipes:
            pipe.send(step)
        loss, metrics = self.objective.loss(self.module, step, 0, self.count)
        _gradient(self.module, loss, self.gradients[0])
        answers = [metrics, *(pipe.recv() for pipe in self.pipes)]
        mean = {key: sum(answer[key] for answer in answers) / self.count for key in metrics}
        return self.gradients.mean(0), mean

    def close(self) -> None:
        """End the shards' processes: a closed pipe is their signal."""
        for pipe in self.pipes:
            pipe.close()
