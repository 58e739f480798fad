"""Which samples make up which batch: a function of (seed, step) alone, so that a run can be resumed anywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np


def generator(seed: int, *context: Hashable) -> np.random.Generator:
    """A random generator that is a function of the seed and of what it is for, and has no history.

    SHA-256 of both keys NumPy's Philox, which gives the same numbers on every machine.
    """
    name = "|".join(["ldznet.training", str(seed), *map(str, context)])
    return np.random.Generator(
        np.random.Philox(key=int.from_bytes(hashlib.sha256(name.encode()).digest()[:16]))
    )


@dataclass(frozen=True)
class Share:
    """The part of every step's batch that falls to this process, and in how many passes it goes through the net.

    Together the passes of all processes are the batch, so the step is the same, up to rounding, however it is shared.
    """

    process: int = 0
    processes: int = 1
    passes: int = 1

    def of(self, indices: Sequence[int], which: int) -> tuple[list[int], float]:
        """Pass `which` (from 0) of this process: its samples, and their weight in the mean over the batch.

        Where a batch is too small for all, a sample of weight 0 keeps this process in step with the others.
        """
        own = list(indices[which * self.processes + self.process :: self.processes * self.passes])
        return (own, len(own) / len(indices)) if own else ([indices[0]], 0.0)


class BatchOrder:
    """Batches of samples that share a shape, in an order that is drawn anew for each epoch.

    `shapes[i]` is whatever sample i must have in common with the others of its batch (the size of its network
    grid). A shape's last batch of an epoch may be smaller; every sample comes once an epoch.
    """

    def __init__(self, shapes: Sequence[Hashable], batch: int, seed: int) -> None:
        self.seed, self.batch = seed, batch
        self.groups: dict[Hashable, list[int]] = {}
        for index, shape in enumerate(shapes):
            self.groups.setdefault(shape, []).append(index)
        self.batches_per_epoch = sum(-(-len(group) // batch) for group in self.groups.values())
        self._drawn: dict[int, list[list[int]]] = {}

    def __getitem__(self, number: int) -> tuple[int, list[int]]:
        """Batch `number` of the whole run: its epoch and the indices of its samples."""
        epoch, place = divmod(number, self.batches_per_epoch)
        return epoch, self._epoch(epoch)[place]

    def _epoch(self, epoch: int) -> list[list[int]]:
        if epoch not in self._drawn:
            self._drawn = {epoch: self._draw_epoch(epoch)}
        return self._drawn[epoch]

    def _draw_epoch(self, epoch: int) -> list[list[int]]:
        random = generator(self.seed, "order", epoch)
        batches: list[list[int]] = []
        for group in self.groups.values():
            order = [group[i] for i in random.permutation(len(group))]
            batches += [order[i : i + self.batch] for i in range(0, len(order), self.batch)]
        return [batches[i] for i in random.permutation(len(batches))]
