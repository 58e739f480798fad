"""`docs/paper/results/<version of the protocol>/<job>.json`: one finished run, with all that its numbers depend on.

format        "ldznet.paper/1"
job           its name, which is the file's
protocol      version and digest of the protocol that it was run under
test_seed     of the scenes that it was scored on; null for runs that saw validation scenes alone
about         what was run: net, seed, learning rate, parameters, seconds, course of the validation, …
machine       processor, cores, threads and versions
numbers       name → value, as `photo/objects/mIoU@best`, in [0, 1] unless the name says otherwise
samples       how many samples are behind a set's numbers
replicates    name → the number in each bootstrap replicate over images: base64 of little-endian uint16, k / 65535
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ldznet_cli.errors import AnnotationError
from ldznet_cli.features import compute
from ldznet_cli.machine.packages import versions_of
from ldznet_cli.miniature.paper.protocol import Protocol
from ldznet_cli.samples.atomic import write_atomically

FORMAT = "ldznet.paper/1"
_LEVELS = 65535


@dataclass(frozen=True)
class Result:
    """One of them."""

    job: str
    protocol: Mapping[str, Any]
    test_seed: int | None
    about: Mapping[str, Any]
    numbers: Mapping[str, float] = field(default_factory=dict)
    samples: Mapping[str, int] = field(default_factory=dict)
    replicates: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Into `folder`, whole or not at all."""
        packed = {name: _packed(values) for name, values in sorted(self.replicates.items())}
        content = {"format": FORMAT, **vars(self), "replicates": packed}
        text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / f"{self.job}.json", (text + "\n").encode())


Results = Mapping[str, Result]
"""By job."""


def read_result(path: Path) -> Result:
    """The inverse of `Result.write`. Raises AnnotationError for anything else."""
    try:
        content = json.loads(path.read_text("utf-8"))
        if content.pop("format") != FORMAT:
            raise ValueError(f"expected the format {FORMAT}")
        packed = content.pop("replicates")
        return Result(**content, replicates={name: _unpacked(text) for name, text in packed.items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AnnotationError(
            f"{path} is no result of the study ({error}): delete it, and `make paper` makes it anew"
        ) from error


def read_results(folder: Path, protocol: Protocol) -> dict[str, Result]:
    """All results of this very protocol, by job."""
    found = read_folder(folder)
    return {job: result for job, result in found.items() if result.protocol["digest"] == protocol.digest}


def read_folder(folder: Path) -> dict[str, Result]:
    """All results in a folder, by job, of whatever protocol."""
    found = [read_result(path) for path in sorted(folder.glob("*.json"))]
    return {result.job: result for result in found}


def machine() -> dict[str, Any]:
    """What the run was computed with."""
    return {
        "processor": compute.processor(torch.device("cpu")),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "versions": versions_of("torch", "diffusers", "transformers", "numpy"),
    }


def _packed(values: NDArray[np.float64]) -> str:
    levels = np.rint(np.clip(np.nan_to_num(values), 0, 1) * _LEVELS).astype("<u2")
    return base64.b64encode(levels.tobytes()).decode("ascii")


def _unpacked(text: str) -> NDArray[np.float64]:
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<u2").astype(np.float64) / _LEVELS
