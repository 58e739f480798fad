"""How good a net is on held-out samples, by the `native` protocol, and the best threshold there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import nn

from ldznet_cli.metrics.counts import count
from ldznet_cli.metrics.iou import iou
from ldznet_cli.metrics.thresholds import THRESHOLDS
from ldznet_cli.samples.geometry import to_image_size
from ldznet_cli.samples.sample import Sample
from ldznet_cli.training.dataset import Reader, question
from ldznet_cli.training.order import generator
from ldznet_cli.training.processes import gathered

DRAW = 0
"""Validation always uses the first noise draw, so that its values can be compared."""


@dataclass(frozen=True)
class Validation:
    """mIoU in [0, 1] at the threshold that is best on these samples; `at_half` is the mIoU at 0.5."""

    step: int
    miou: float
    threshold: float
    at_half: float
    samples: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def hold_out(samples: Sequence[Sample], share: float, seed: int) -> tuple[list[Sample], list[Sample]]:
    """(training, validation): whole images go to one side; a share of them, but at least one, is held out.

    Which ones is decided by a hash of their name and the seed, so that it does not depend on the file's order.
    """

    def rank(name: str) -> bytes:
        return hashlib.sha256(f"ldznet.validation|{seed}|{name}".encode()).digest()

    names = sorted({sample.image.name for sample in samples}, key=rank)
    held = set(names[: max(1, round(share * len(names)))]) if share else set()
    training = [sample for sample in samples if sample.image.name not in held]
    return training, [sample for sample in samples if sample.image.name in held]


def choose(samples: Sequence[Sample], count: int, seed: int) -> list[Sample]:
    """At most `count` of the samples, drawn from the seed, in their own order."""
    if len(samples) <= count:
        return list(samples)
    chosen = generator(seed, "validation").choice(len(samples), count, replace=False)
    return [samples[i] for i in sorted(chosen)]


def validate(
    net: nn.Module,
    samples: Iterable[Sample],
    reader: Reader,
    step: int,
    batch: int = 16,
    accelerator: Accelerator | None = None,
) -> Validation:
    """Scores `net` at the original size of each image, pixels foreground where p > threshold strictly.

    The processes of `accelerator` share the batches; each gets the whole result, the same as one process would.
    """
    groups = list(enumerate(_by_grid(samples, reader, batch)))
    if accelerator is not None:
        groups = groups[accelerator.process_index :: accelerator.num_processes]
    scored = gathered([(number, _ious(net, group, reader)) for number, group in groups])
    rows = np.concatenate([ious for _, ious in sorted(scored, key=lambda pair: pair[0])])
    means = rows.mean(axis=0)
    best = int(means.argmax())
    half = float(means[len(THRESHOLDS) // 2])
    return Validation(step, float(means[best]), round(float(THRESHOLDS[best]), 2), half, len(rows))


def _by_grid(samples: Iterable[Sample], reader: Reader, batch: int) -> list[list[Sample]]:
    groups: dict[tuple[int, int], list[Sample]] = {}
    for sample in samples:
        groups.setdefault(reader.geometry.network_size(sample.width, sample.height), []).append(sample)
    return [group[i : i + batch] for group in groups.values() for i in range(0, len(group), batch)]


def _ious(net: nn.Module, samples: Sequence[Sample], reader: Reader) -> NDArray[np.float64]:
    device = next(net.parameters()).device
    batch = reader.batch([question(sample) for sample in samples], [DRAW] * len(samples)).to(device)
    with torch.inference_mode():
        maps = net(batch.inputs, batch.text, batch.features).float().sigmoid()[:, 0].cpu().numpy()
    return np.stack([_iou(prob, sample) for prob, sample in zip(maps, samples, strict=True)])


def _iou(prob: NDArray[np.float32], sample: Sample) -> NDArray[np.float64]:
    """The sample's IoU at each threshold; empty against empty is 1, as in the `native` protocol."""
    counts = count(to_image_size(prob, sample.width, sample.height), sample.mask(), sample.ignore())
    return iou(counts.tp, counts.union, empty=1.0)
