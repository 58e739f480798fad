"""The state of a run on disk: tensors in safetensors, the rest in JSON, whole or not there at all."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ldznet_cli.errors import AnnotationError, DiskFull, LdznetError, ModelError, no_room
from ldznet_cli.samples.fields import Fields
from ldznet_cli.training.ema import Ema

FORMAT = "ldznet.checkpoint/1"
FOLDER = "checkpoints"


@dataclass
class Progress:
    """Where a run stands: `step` optimiser steps are done; `curve` and `validations` are the events so far.

    `losses` are those of the steps since the curve's last point, `scaler` the state of float16's gradient scaler.
    """

    step: int = 0
    seconds: float = 0.0
    curve: list[dict[str, Any]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    validations: list[dict[str, Any]] = field(default_factory=list)
    scaler: dict[str, Any] = field(default_factory=dict)

    @property
    def history(self) -> list[float]:
        """The validation mIoU so far, in order."""
        return [validation["miou"] for validation in self.validations]


def optimizer_tensors(net: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state by parameter name and state key, as in "conv_in.weight|exp_avg"."""
    return {
        f"{name}|{key}": value
        for name, parameter in net.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def restore_optimizer(net: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Puts back what `optimizer_tensors` gave."""
    parameters = dict(net.named_parameters())
    for key, value in tensors.items():
        name, _, part = key.rpartition("|")
        parameter = parameters[name]
        # The fused AdamW wants its step counter on the device too.
        optimizer.state[parameter][part] = value.to(parameter.device)


def save(run: Path, net: nn.Module, ema: Ema, optimizer: torch.optim.Optimizer, progress: Progress) -> Path:
    """Writes checkpoints/step-NNNNNNNN under another name, then renames it. Raises DiskFull, LdznetError."""
    target = run / FOLDER / f"step-{progress.step:08d}"
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        _write_tensors(temporary / "net.safetensors", dict(net.state_dict()))
        _write_tensors(temporary / "ema.safetensors", dict(ema.net.state_dict()))
        _write_tensors(temporary / "optimizer.safetensors", optimizer_tensors(net, optimizer))
        state = {"format": FORMAT, "ema_updates": ema.updates, **vars(progress)}
        _write_text(temporary / "state.json", json.dumps(state))
        shutil.rmtree(target, ignore_errors=True)
        os.replace(temporary, target)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if no_room(error):
            advice = "free some and run the same command again, which goes on from the one before"
            raise DiskFull(f"no space left to write the checkpoint {target}: {advice}") from error
        advice = "mend that and run the same command again, which goes on from the one before"
        raise LdznetError(f"the checkpoint {target} cannot be written ({error}): {advice}") from error
    return target


def latest(run: Path) -> Path | None:
    """The newest whole checkpoint of a run."""
    found = _whole(run)
    return found[-1] if found else None


def steps_done(run: Path) -> int:
    """How many steps a resumed run need not do again."""
    newest = latest(run)
    return 0 if newest is None else int(newest.name.removeprefix("step-"))


def _whole(run: Path) -> list[Path]:
    """The checkpoints of a run from the oldest on; a copy that somebody set aside, `step-00000012.bak`, is none."""
    return sorted(path for path in (run / FOLDER).glob("step-*") if re.fullmatch(r"step-\d{8,}", path.name))


def check_course(fields: Fields) -> None:
    """Raises AnnotationError where what a record or a checkpoint says of a run's course is of another type."""
    fields.whole("step")
    for name, numbers in (("curve", ("loss",)), ("validations", ("miou", "threshold"))):
        for point in fields.objects(name):
            point.whole("step")
            for number in numbers:
                if point.number_or_none(number) is None:
                    raise point.wrong(number, "a number")


def load(folder: Path, net: nn.Module, ema: Ema, optimizer: torch.optim.Optimizer) -> Progress:
    """Restores net, EMA and optimiser, and tells where the run stood.

    Raises ModelError when the folder is not a whole checkpoint of this very net.
    """
    try:
        state = json.loads((folder / "state.json").read_text())
        if state.pop("format") != FORMAT:
            raise ValueError(f"not a checkpoint of the format {FORMAT}")
        check_course(Fields.of(state, "state.json"))
        net.load_state_dict(load_file(folder / "net.safetensors"))
        ema.net.load_state_dict(load_file(folder / "ema.safetensors"))
        restore_optimizer(net, optimizer, load_file(folder / "optimizer.safetensors"))
        ema.updates = state.pop("ema_updates")
        return Progress(**state)
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RuntimeError,
        SafetensorError,
        AnnotationError,
    ) as error:
        first = str(error).splitlines()[0]
        raise ModelError(
            f"the checkpoint {folder} cannot be used: {first}; remove it to go on from the one before"
        ) from error


def prune(run: Path, keep: int) -> None:
    """Removes all but the newest `keep` checkpoints, and what killed runs left half written."""
    for old in _whole(run)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    for half in (run / FOLDER).glob(".step-*"):
        shutil.rmtree(half, ignore_errors=True)


def remove_all(run: Path) -> None:
    """Removes every checkpoint of a run."""
    shutil.rmtree(run / FOLDER, ignore_errors=True)


def _write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, path)
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _write_text(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
