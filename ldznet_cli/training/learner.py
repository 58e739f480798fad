"""What a training step changes: the net, its average, the optimiser; and one step of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from ldznet_cli.errors import LdznetError
from ldznet_cli.ldm.memory import out_of_memory
from ldznet_cli.nets.recompute import recompute_activations
from ldznet_cli.nets.transformer import use_plain_attention
from ldznet_cli.training import checkpoint, processes
from ldznet_cli.training.checkpoint import Progress
from ldznet_cli.training.config import TrainConfig
from ldznet_cli.training.dataset import Batch
from ldznet_cli.training.ema import Ema

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Learner:
    """A net on its device, in training: AdamW, and the moving average of its weights.

    Its own process's part of a step is `step`'s batches; gradients are averaged over processes by Accelerate.
    """

    def __init__(self, net: nn.Module, config: TrainConfig, accelerator: Accelerator) -> None:
        if accelerator.device.type == "cpu":
            use_plain_attention(net)
        self.net, self.config, self.accelerator = net, config, accelerator
        self.ema = Ema(net, config.ema)
        if config.recompute:
            recompute_activations(net)
        self.optimizer = torch.optim.AdamW(
            net.parameters(),
            lr=config.learning_rate,
            betas=config.betas,
            weight_decay=config.weight_decay,
            fused=True,
        )
        # float16's small gradients are scaled up on the way back; for the other precisions this does nothing.
        self.scaler = torch.amp.GradScaler(accelerator.device.type, enabled=config.precision == "float16")
        self.model: nn.Module = accelerator.prepare_model(net)

    def step(self, batches: Sequence[Batch], rate: float) -> float:
        """One optimiser step at the learning rate `rate`; the mean loss over the batch of all processes."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        try:
            loss = self._descend(batches)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            raise LdznetError(
                f"no memory left for a step of {self.config.batch} samples on {self.accelerator.device}: take it in "
                "parts with --passes, keep no activations with --recompute, or give a smaller --batch"
            ) from error
        return processes.total(self.accelerator, loss)

    def _descend(self, batches: Sequence[Batch]) -> float:
        loss = 0.0
        for batch in batches:
            together = batch is batches[-1]  # gradients of the processes meet once a step
            with nullcontext() if together else self.accelerator.no_sync(self.model):
                mean = self.forward(batch.to(self.accelerator.device))
                self.backward(mean, batch.weight)
            loss += mean.item() * batch.weight
        if not self.update():
            names = ", ".join(name for batch in batches for name in batch.names)
            raise LdznetError(
                f"the gradient is not finite at {names}; lower --learning-rate or look at these samples"
            )
        return loss

    def forward(self, batch: Batch) -> Tensor:
        """The mean loss of a batch. Raises LdznetError, with the samples, where it is not finite."""
        dtype = _DTYPES[self.config.precision]
        with torch.autocast(self.accelerator.device.type, dtype, enabled=dtype != torch.float32):
            logits: Tensor = self.model(batch.inputs, batch.text, batch.features)
        logits = logits.float()
        loss = binary_cross_entropy_with_logits(logits, batch.target, batch.counted)
        value = loss.item()
        if not math.isfinite(value):
            raise LdznetError(
                f"the loss is {value} on {', '.join(_not_finite(logits, batch))}; lower --learning-rate or look at "
                "what is named"
            )
        return loss

    def backward(self, loss: Tensor, weight: float) -> None:
        """Adds the gradient of a batch that makes up `weight` of the step."""
        # The mean over processes is taken of gradients; over samples, it is by their weight in the batch.
        self.scaler.scale(loss * (weight * self.accelerator.num_processes)).backward()

    def update(self) -> bool:
        """Clips the gradient, and moves the weights and their average; False, and nothing moves, where the gradient
        is not finite (in float16 the scaler leaves such a step out by itself)."""
        self.scaler.unscale_(self.optimizer)
        clip = self.config.clip or math.inf
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), clip)
        if not self.scaler.is_enabled() and not math.isfinite(norm):
            return False
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.ema.update(self.net)
        return True

    def save(self, folder: Path, progress: Progress) -> None:
        """Everything that `restore` needs, as a checkpoint of the run in `folder`."""
        progress.scaler = self.scaler.state_dict()
        checkpoint.save(folder, self.net, self.ema, self.optimizer, progress)

    def restore(self, folder: Path) -> Progress:
        """Goes on from a checkpoint; raises ModelError when it does not fit."""
        progress = checkpoint.load(folder, self.net, self.ema, self.optimizer)
        self.scaler.load_state_dict(progress.scaler)
        return progress


def _not_finite(logits: Tensor, batch: Batch) -> Sequence[str]:
    """The samples whose own loss is not finite; all of them where only their sum is not."""
    each = binary_cross_entropy_with_logits(logits, batch.target, batch.counted, reduction="none")
    found = each.flatten(1).isfinite().all(1).tolist()
    return [name for name, finite in zip(batch.names, found, strict=True) if not finite] or batch.names
