"""From `--predictor` and the options that go with it to what answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ldznet_cli.cli import console, models
from ldznet_cli.cli.engine_options import named_everywhere
from ldznet_cli.config import MINIATURE
from ldznet_cli.errors import UsageError

if TYPE_CHECKING:
    from ldznet_cli.inference import Predictor, PredictorIdentity
    from ldznet_cli.inference.questions import Asking

Kind = Literal["net", "clipseg", "noise-difference", "category-mean"]


@dataclass(frozen=True)
class Ask:
    """Which predictor, and all that it may need; `draws` None is for the predictor to say, `batch` None for the device
    that "auto" turns out to be."""

    kind: Kind
    model: str | None
    clipseg: str
    fit: Path | None
    ldm: str | None
    vae: str | None
    draws: int | None
    seed: int
    template: str
    batch: int | None
    dtype: str
    device: str
    offline: bool

    def everywhere(self) -> Ask:
        """The same by names that mean the same to workers in other folders."""
        return replace(
            self,
            model=self.model and named_everywhere(self.model),
            clipseg=named_everywhere(self.clipseg),
            fit=self.fit and self.fit.absolute(),
            ldm=self.ldm and named_everywhere(self.ldm),
            vae=self.vae and named_everywhere(self.vae),
        )


def load(asked: Ask) -> Predictor:
    """What answers, its batch halved where memory runs out. Raises what loading raises, and UsageError."""
    device = models.resolve_device(asked.device)
    ask = replace(asked, device=device, batch=asked.batch or (1 if device == "cpu" else 8))
    if ask.kind == "category-mean":
        return _category_mean(ask.fit)
    from ldznet_cli.inference import Halving

    makers = {"noise-difference": _noise_difference, "clipseg": _clipseg, "net": _net}
    return Halving(makers[ask.kind](ask), console.warn)


def job_of(ask: Ask, threads: int, expected: PredictorIdentity) -> Asking:
    """How workers of a cluster come by what answers: each loads it, onto its own device."""
    from ldznet_cli.inference.questions import Asking

    return Asking(partial(load, ask.everywhere()), threads, expected)


def _clipseg(ask: Ask) -> Predictor:
    import torch

    from ldznet_cli.inference import ClipSegPredictor

    dtype = getattr(torch, ask.dtype)
    return ClipSegPredictor(
        ask.clipseg, device=ask.device, dtype=dtype, batch=ask.batch or 1, offline=ask.offline
    )


def _category_mean(fit: Path | None) -> Predictor:
    if fit is None:
        raise UsageError(
            "--predictor category-mean needs --fit: the annotations whose masks it takes the mean of"
        )
    from ldznet_cli.inference.category_mean import CategoryMeanPredictor
    from ldznet_cli.samples.coco import load_coco

    return CategoryMeanPredictor(load_coco(fit))


def _noise_difference(ask: Ask) -> Predictor:
    import torch

    from ldznet_cli.analysis.noise_difference import DRAWS, NoiseDifferencePredictor
    from ldznet_cli.ldm import FrozenLDM

    name = ask.ldm or MINIATURE
    if ask.ldm is None:
        console.say(f"ldznet: {models.MINIATURE_NOTICE}")
    whole = FrozenLDM.load(
        models.resolve_ldm(name),
        blocks=None,
        device=ask.device,
        dtype=getattr(torch, ask.dtype),
        vae=ask.vae,
        offline=ask.offline,
    )
    draws = DRAWS if ask.draws is None else ask.draws
    return NoiseDifferencePredictor(whole, ldm_name=name, draws=draws, template=ask.template, seed=ask.seed)


def _net(ask: Ask) -> Predictor:
    import torch

    from ldznet_cli.inference import load_predictor

    return load_predictor(
        models.resolve_model(ask.model),
        None if ask.ldm is None else models.resolve_ldm(ask.ldm),
        vae=ask.vae,
        device=ask.device,
        dtype=getattr(torch, ask.dtype),
        offline=ask.offline,
        draws=1 if ask.draws is None else ask.draws,
        template=ask.template,
        seed=ask.seed,
        batch=ask.batch or 1,
    )
