"""The run folder: a net folder that `segment --model` takes, with the settings and the course of its training."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ldznet_cli.errors import UsageError
from ldznet_cli.features.key import digest
from ldznet_cli.features.source import FeatureSource
from ldznet_cli.machine.packages import versions_of
from ldznet_cli.nets import NetConfig, NetInfo, build_net, initialise, save_net
from ldznet_cli.samples.atomic import write_atomically
from ldznet_cli.samples.coco import SampleSet
from ldznet_cli.samples.geometry import Geometry
from ldznet_cli.samples.listing import ImageRef
from ldznet_cli.samples.sample import Sample
from ldznet_cli.samples.view import ViewPolicy
from ldznet_cli.training import checkpoint, folder, processes
from ldznet_cli.training.config import TrainConfig
from ldznet_cli.training.dataset import Reader, TrainingSet
from ldznet_cli.training.loop import Run, TrainEvent, train
from ldznet_cli.training.validation import choose, hold_out, validate

_PACKAGES = ("accelerate", "diffusers", "numpy", "torch")


@dataclass(frozen=True)
class Material:
    """What is learned from: samples, where their features come from, and the LDM behind those.

    `validation` is None when a share of the training images is to be held out. `draws` is how many noise draws
    the features have, None without limit; `absent` the phrases that may serve as negatives; `views` what samples
    are seen in.
    """

    samples: SampleSet
    source: FeatureSource
    geometry: Geometry
    ldm_name: str
    ldm_digests: Mapping[str, str | None]
    timesteps: tuple[int, int]
    features: Mapping[str, Any]
    validation: SampleSet | None = None
    draws: int | None = None
    views: ViewPolicy | None = None
    absent: Mapping[ImageRef, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """A run before its first step: the net and its settings, the samples on either side, the folder."""

    out: Path
    config: TrainConfig
    net: NetConfig
    init: str
    material: Material
    training: tuple[Sample, ...]
    validation: tuple[Sample, ...]

    @cached_property
    def settings(self) -> dict[str, Any]:
        """All that decides the weights, as JSON values; a run is resumed only with the same."""
        material = self.material
        return {
            **self.config.what_decides_the_weights,
            "net": self.net.to_dict(),
            "init": self.init,
            "gt": material.samples.digest,
            "groups": material.samples.groups_digest,
            "val_gt": material.validation.digest if material.validation else None,
            "ldm": dict(material.ldm_digests),
            "geometry": asdict(material.geometry),
            "timesteps": list(material.timesteps),
            **material.features,
            "draws": material.draws,
            "views": asdict(material.views) if material.views else None,
            "absent": digest({image.name: list(found) for image, found in material.absent.items()}),
        }

    def reader(self) -> Reader:
        """Where batches come from."""
        return Reader(self.material.source, self.material.geometry, rgb=self.net.kind == "rgbnet")

    def data(self) -> TrainingSet:
        """The batches to train on."""
        return TrainingSet(
            self.training,
            self.reader(),
            batch=self.config.batch,
            seed=self.config.seed,
            negatives=self.config.negatives,
            absent=self.material.absent,
            draws=self.material.draws,
            views=self.material.views,
        )


def plan(
    out: Path, config: TrainConfig, net: NetConfig, init: str, material: Material, *, overwrite: bool = False
) -> Plan:
    """Splits the samples and checks that a run can be begun, or gone on with, in `out`.

    Raises UsageError when there is nothing to train or to validate on, and what `folder.check` raises.
    """
    training = list(material.samples.samples)
    held: list[Sample] = []
    if material.validation is not None:
        held = list(material.validation.samples)
    else:
        training, held = hold_out(training, config.validation_share, config.seed)
    held = choose(held, config.validation_samples, config.seed)
    if not any(not sample.absent for sample in training) or not held:
        where = material.samples.path
        raise UsageError(
            f"{where}: {len(training)} samples to train on and {len(held)} to validate on; "
            "both are needed: give --val-gt, or another --validation-share"
        )
    made = Plan(out, config, net, init, material, tuple(training), tuple(held))
    folder.check(out, made.settings, overwrite=overwrite)
    return made


def run(
    plan: Plan,
    *,
    unet_weights: Callable[[], Mapping[str, Tensor]] | None,
    device: str = "cpu",
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[TrainEvent]:
    """Trains what `plan` says, and keeps the run folder up to date; resumes where a former run stopped.

    `unet_weights` gives the LDM's UNet, for a net that starts from it. Raises what `train` raises, and ModelError.
    """
    config, reader = plan.config, plan.reader()
    accelerator = processes.join(device)
    net = build_net(plan.net, config.seed)
    state = Run(plan.out, net)
    accelerator.wait_for_everyone()  # until here, all have looked into the folder as it was
    if checkpoint.latest(plan.out) is None:
        initialise(net, unet_weights() if unet_weights is not None else None, config.seed)
        _write_record(plan, state)
    for event in train(
        config,
        state,
        plan.data(),
        validate=lambda averaged, step: validate(
            averaged, plan.validation, reader, step, _at_once(config), accelerator
        ),
        save_best=partial(_save_best, plan),
        stop=stop,
        device=device,
    ):
        if event.kind != "step":
            _write_record(plan, state)
        yield event
    _write_record(plan, state)


def _at_once(config: TrainConfig) -> int:
    """How many samples go through the net together: no more in validation than in training."""
    return -(-config.batch // config.passes)


def _save_best(plan: Plan, state: Run, ema: nn.Module, threshold: float) -> None:
    material = plan.material
    info = NetInfo(
        config=plan.net,
        ldm_name=material.ldm_name,
        ldm_digests=dict(material.ldm_digests),
        geometry=asdict(material.geometry),
        threshold=threshold,
        timesteps=material.timesteps,
        training={"step": state.progress.step, "absent_phrases": plan.config.negatives > 0},
    )
    save_net(plan.out, state.net, info, ema=ema)


def _write_record(plan: Plan, state: Run) -> None:
    if not processes.is_main():
        return
    record = {
        "format": folder.FORMAT,
        "settings": plan.settings,
        "samples": {"training": len(plan.training), "validation": len(plan.validation)},
        "versions": versions_of(*_PACKAGES),
        "threads": torch.get_num_threads(),
        "processes": processes.count(),
        **{key: value for key, value in vars(state.progress).items() if key not in ("losses", "scaler")},
    }
    write_atomically(plan.out / folder.RECORD, (json.dumps(record, indent=1) + "\n").encode())
