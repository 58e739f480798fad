"""The noise of the diffusion process: how much at which timestep, and which noise a given sample gets."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ldznet_cli.config import TEMPLATES
from ldznet_cli.errors import ModelError, UsageError

_DRAW_VERSION = "ldznet.draw/1"
_DEFAULTS = {
    "num_train_timesteps": 1000,
    "beta_schedule": "linear",
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "trained_betas": None,
    "rescale_betas_zero_snr": False,
    "prediction_type": "epsilon",
}
"""Diffusers' defaults: the fields of a scheduler's configuration that a training schedule depends on."""

_MOST_TIMESTEPS = 100_000
"""Schedules have 1,000; a number far beyond is a damaged file, and would fill the memory."""


def schedule_fields(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of a scheduler_config.json the noise schedule depends on; the sampler's own settings are left out."""
    return {name: config.get(name, default) for name, default in _DEFAULTS.items()}


@dataclass(frozen=True, eq=False)
class Schedule:
    """z_t = sqrt(abar_t) z + sqrt(1 - abar_t) noise, with `alphas_cumprod` = abar (T,) in float64.

    The two factors are computed in float64 and rounded to float32 once, as the authors' code does.
    """

    alphas_cumprod: Tensor
    prediction_type: str = "epsilon"

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Schedule:
        """From a diffusers scheduler's configuration (of any sampler).

        Raises ModelError for an unknown schedule.
        """
        fields = schedule_fields(config)
        if fields["prediction_type"] not in ("epsilon", "v_prediction", "sample"):
            raise ModelError(f"scheduler_config.json: unknown prediction_type {fields['prediction_type']!r}")
        count = fields["num_train_timesteps"]
        if type(count) is not int or not 0 < count <= _MOST_TIMESTEPS:
            raise ModelError(
                f"scheduler_config.json: num_train_timesteps is {count!r:.60}: expected 1 to {_MOST_TIMESTEPS}"
            )
        try:
            with np.errstate(all="ignore"):  # what comes of it is looked at
                alphas_cumprod = _alphas_cumprod(fields)
        except (TypeError, ValueError, IndexError, OverflowError) as error:
            raise ModelError(f"scheduler_config.json: betas that are no numbers ({error})") from error
        if not ((alphas_cumprod >= 0) & (alphas_cumprod <= 1)).all():
            raise ModelError(
                "scheduler_config.json: its betas make no noise schedule: expected numbers in [0, 1]"
            )
        return cls(torch.from_numpy(alphas_cumprod), fields["prediction_type"])

    @property
    def timesteps(self) -> int:
        """T: timesteps run from 0 (hardly any noise) to T - 1."""
        return len(self.alphas_cumprod)

    def add_noise(self, z: Tensor, noise: Tensor, timestep: int | Tensor) -> Tensor:
        """z_t (B, 4, h, w) for one timestep or a (B,) tensor of them; computed in float32, returned as z's dtype.

        Raises UsageError for a timestep outside the schedule.
        """
        signal, spread = self._factors(timestep, z)
        return (signal * z.float() + spread * noise.to(z.device).float()).to(z.dtype)

    def noise_of(self, output: Tensor, z_t: Tensor, timestep: int | Tensor) -> Tensor:
        """eps (B, 4, h, w) from the UNet's output, whatever the model was trained to predict."""
        if self.prediction_type == "epsilon":
            return output
        signal, spread = self._factors(timestep, z_t)
        if self.prediction_type == "v_prediction":
            return (signal * output.float() + spread * z_t.float()).to(output.dtype)
        return ((z_t.float() - signal * output.float()) / spread).to(output.dtype)

    def _factors(self, timestep: int | Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        index = torch.as_tensor(timestep, dtype=torch.long, device="cpu").reshape(-1)
        if bool((index < 0).any()) or bool((index >= self.timesteps).any()):
            raise UsageError(f"timestep {timestep} is outside the schedule's 0 to {self.timesteps - 1}")
        abar = self.alphas_cumprod[index].reshape(-1, 1, 1, 1)
        return tuple(value.sqrt().float().to(like.device) for value in (abar, 1 - abar))  # type: ignore[return-value]


def _alphas_cumprod(fields: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[Any]]:
    alphas_cumprod = np.cumprod(1.0 - _betas(fields))
    if fields["rescale_betas_zero_snr"]:
        root = np.sqrt(alphas_cumprod)
        alphas_cumprod = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
    return alphas_cumprod


def _betas(fields: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    count, start, end = fields["num_train_timesteps"], fields["beta_start"], fields["beta_end"]
    if not 0 <= start <= 1 or not 0 <= end <= 1:
        raise ValueError(f"beta_start {start!r:.40}, beta_end {end!r:.40}")
    if fields["trained_betas"] is not None:
        return np.asarray(fields["trained_betas"], dtype=np.float64)
    if fields["beta_schedule"] == "scaled_linear":
        return np.linspace(start**0.5, end**0.5, count, dtype=np.float64) ** 2
    if fields["beta_schedule"] == "linear":
        return np.linspace(start, end, count, dtype=np.float64)
    if fields["beta_schedule"] == "squaredcos_cap_v2":
        abar = [math.cos((i / count + 0.008) / 1.008 * math.pi / 2) ** 2 for i in range(count + 1)]
        return np.array([min(1 - b / a, 0.999) for a, b in pairwise(abar)])
    raise ModelError(f"scheduler_config.json: unknown beta_schedule {fields['beta_schedule']!r}")


@dataclass(frozen=True)
class Draw:
    """One random draw for one sample: the timestep, the prompt template, and the key of its noise."""

    timestep: int
    template: str
    key: bytes

    def noise(self, shape: tuple[int, ...]) -> Tensor:
        """Standard normal noise of `shape` (C, h, w), float32 on the CPU: the same on every machine.

        Drawn in float64 and rounded once, so that a last digit of a machine's log or exp does not show.
        """
        philox = np.random.Philox(key=int.from_bytes(_derive(self.key, "noise")[:16], "big"))
        return torch.from_numpy(np.random.Generator(philox).standard_normal(shape).astype(np.float32))


@dataclass(frozen=True)
class DrawPolicy:
    """How draws are made: a pure function of (seed, image content, phrase, index), whatever the order or the batch.

    `timesteps` is [low, high): the paper's 300 to 500. `template` None draws one of the paper's nine, as in
    training; at inference it is fixed. Neither changes the noise. Raises UsageError for an empty range.
    """

    seed: int = 0
    timesteps: tuple[int, int] = (300, 500)
    template: str | None = None

    def __post_init__(self) -> None:
        low, high = self.timesteps
        if not 0 <= low < high:
            raise UsageError(f"timesteps {low}:{high} are no range: they mean {low} <= t < {high}")

    def draw(self, image_sha256: str, phrase: str, index: int) -> Draw:
        """The `index`-th draw for this image (SHA-256 of its file) and phrase (however it is spaced)."""
        identity = json.dumps([_DRAW_VERSION, self.seed, image_sha256, " ".join(phrase.split()), index])
        key = hashlib.sha256(identity.encode()).digest()
        low, high = self.timesteps
        timestep = low + int.from_bytes(_derive(key, "timestep"), "big") % (high - low)
        template = TEMPLATES[int.from_bytes(_derive(key, "template"), "big") % len(TEMPLATES)]
        return Draw(timestep, template if self.template is None else self.template, key)


def _derive(key: bytes, purpose: str) -> bytes:
    return hashlib.sha256(key + purpose.encode()).digest()
