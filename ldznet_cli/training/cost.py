"""What a training run will take: parameters, memory, seconds a step, measured on its own first batch."""

from __future__ import annotations

import resource
import sys
import time
from typing import Any

import torch

from ldznet_cli.nets import build_net
from ldznet_cli.training import processes
from ldznet_cli.training.learner import Learner
from ldznet_cli.training.run import Plan


def _peak(device: str) -> int:
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    scale = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


_COPIES = 5
"""Float32 copies of the weights: the net, its average, its gradient, and AdamW's two moments."""


def cost_of(plan: Plan, device: str = "cpu") -> dict[str, Any]:
    """`parameters`; `state_bytes` of weights, average, gradients and optimiser; `seconds_per_step`, of the second of
    two whole steps, read and computed in this process; `seconds`, of all steps, without validation; `peak_bytes`, the
    most memory that this process, or its CUDA device, has held. Raises what a step raises."""
    config, accelerator = plan.config, processes.join(device)
    net = build_net(plan.net, config.seed).to(accelerator.device).train()
    learner = Learner(net, config, accelerator)
    data = plan.data().shared(processes.share(accelerator, config.passes))
    for step in range(2):
        began = time.perf_counter()
        first = step * config.passes
        learner.step([data[first + number] for number in range(config.passes)], config.learning_rate)
        processes.wait(accelerator.device)
        seconds = time.perf_counter() - began
    parameters = sum(parameter.numel() for parameter in net.parameters())
    return {
        "parameters": parameters,
        "state_bytes": 4 * _COPIES * parameters,
        "seconds_per_step": round(seconds, 4),
        "seconds": round(seconds * plan.config.steps),
        "peak_bytes": _peak(device),
    }
