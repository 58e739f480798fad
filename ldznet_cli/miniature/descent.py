"""One loop for all trainings of the LDM: AdamW on batches in shards, an EMA, checkpoints, a bit-identical resume.

The optimiser and the EMA are single operations on the shards' flat vector of parameters.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ldznet_cli.errors import ModelError
from ldznet_cli.miniature.ldm_recipe import DescentRecipe
from ldznet_cli.miniature.shards import Metrics, Objective, Shards, gather, named


@dataclass(frozen=True)
class StepRecord:
    """What one step was: its loss and numbers averaged over shards; `seconds` since this process began to train."""

    step: int
    learning_rate: float
    gradient_norm: float
    metrics: Metrics
    seconds: float


def rate(recipe: DescentRecipe, step: int, decay_from: int) -> float:
    """The learning rate at a step: linear warm-up, constant, linear decay to zero from `decay_from` on."""
    warmup = min(1.0, (step + 1) / max(1, recipe.warmup_steps))
    decay = min(1.0, max(0.0, 1.0 - (step - decay_from) / max(1, recipe.decay_steps)))
    return recipe.learning_rate * warmup * decay


class Descent:
    """A training's state: weights, EMA, optimiser, step. `run` is the loop."""

    def __init__(self, objective: Objective, recipe: DescentRecipe, folder: Path) -> None:
        torch.set_num_threads(1)
        self.recipe, self.folder = recipe, folder
        self.module = objective.module()
        self.shards = Shards(objective, self.module, recipe.shards)
        self.flat = self.shards.flat
        self.scale = self._scales(objective.rates())
        self.ema, self.first, self.second = (
            self.flat.clone(),
            torch.zeros_like(self.flat),
            torch.zeros_like(self.flat),
        )
        self.step, self.decay_from = 0, recipe.steps - recipe.decay_steps
        self.history: list[dict[str, float]] = []
        self._restore()

    def _scales(self, rates: Mapping[str, float]) -> Tensor:
        parts = []
        for name, parameter in self.module.named_parameters():
            factor = next((factor for prefix, factor in rates.items() if name.startswith(prefix)), 1.0)
            parts.append(torch.full((parameter.numel(),), factor))
        return torch.cat(parts)

    @property
    def end(self) -> int:
        return self.decay_from + self.recipe.decay_steps

    def update(self) -> StepRecord:
        """One step of AdamW and of the EMA."""
        recipe, step = self.recipe, self.step
        gradient, metrics = self.shards.gradient(step)
        norm = float(gradient.norm())
        if not norm < float("inf"):
            raise ModelError(f"training: the gradient is not finite at step {step} (loss {metrics})")
        gradient.mul_(min(1.0, recipe.clip / (norm + 1e-12)))
        learning_rate = rate(recipe, step, self.decay_from)
        beta1, beta2 = recipe.betas
        self.first.lerp_(gradient, 1 - beta1)
        self.second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        moved = self.second.div(1 - beta2 ** (step + 1)).sqrt_().add_(1e-8)
        moved = self.first.div(moved).div_(1 - beta1 ** (step + 1)).add_(self.flat, alpha=recipe.weight_decay)
        self.flat.sub_(moved.mul_(self.scale), alpha=learning_rate)
        self.ema.lerp_(self.flat, 1 - min(recipe.ema, (1 + step) / (10 + step)))
        self.step += 1
        return StepRecord(step, learning_rate, norm, metrics, 0.0)

    def run(self) -> Generator[StepRecord, None, None]:
        """Train to the end; a checkpoint every `checkpoint_seconds`, at the end, and when the generator is closed.

        A file `decay-now` in the folder begins the last `decay_steps` at once; the checkpoint records the step.
        """
        begun = saved = time.monotonic()
        try:
            while self.step < self.end:
                self._heed()
                record = self.update()
                now = time.monotonic()
                if now - saved > self.recipe.checkpoint_seconds:
                    self.save()
                    saved = now
                yield StepRecord(**{**record.__dict__, "seconds": now - begun})
        finally:
            self.save()
            self.shards.close()

    def _heed(self) -> None:
        if (self.folder / "decay-now").exists() and self.step < self.decay_from:
            self.decay_from = self.step

    def save(self) -> None:
        """Write `checkpoint/` under another name and swap it in."""
        temporary, final, old = (
            self.folder / name for name in ("checkpoint.new", "checkpoint", "checkpoint.old")
        )
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        parts = {"weights": self.flat, "ema": self.ema, "first": self.first, "second": self.second}
        for name, flat in parts.items():
            save_file(named(self.module, flat), temporary / f"{name}.safetensors")
        state = {"step": self.step, "decay_from": self.decay_from, "recipe": asdict(self.recipe)}
        (temporary / "state.json").write_text(json.dumps(state, indent=1, sort_keys=True), "utf-8")
        shutil.rmtree(old, ignore_errors=True)
        if final.exists():
            os.replace(final, old)
        os.replace(temporary, final)
        shutil.rmtree(old, ignore_errors=True)

    def _restore(self) -> None:
        found = [
            folder for name in ("checkpoint", "checkpoint.old") if (folder := self.folder / name).exists()
        ]
        if not found:
            return
        state = json.loads((found[0] / "state.json").read_text("utf-8"))
        self.step, self.decay_from = int(state["step"]), int(state["decay_from"])
        parts = {"weights": self.flat, "ema": self.ema, "first": self.first, "second": self.second}
        for name, flat in parts.items():
            flat.copy_(gather(self.module, load_file(found[0] / f"{name}.safetensors")))
