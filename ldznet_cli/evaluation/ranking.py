"""The samples worth looking at: a few of the best, of the worst, and of the absent ones that seemed to be there."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from ldznet_cli.evaluation.answer import Answer
from ldznet_cli.evaluation.report import Kind, Ranked
from ldznet_cli.evaluation.scoring import Job, Outcome
from ldznet_cli.samples.sample import Sample

KEPT = 12
"""Samples of each kind."""


@dataclass(frozen=True)
class Shown:
    """A ranked sample with what a picture of it is made from."""

    ranked: Ranked
    sample: Sample
    answer: Answer


class Ranking:
    """Keeps the few, by the IoU of a (protocol, threshold rule); equals in the ground truth's order. Missing
    predictions are no picture and not ranked."""

    def __init__(self, by: tuple[str, str], kept: int = KEPT) -> None:
        self._by, self._kept = by, kept
        self._heaps: dict[Kind, list[tuple[float, int, Shown]]] = {"worst": [], "best": [], "false alarm": []}

    def add(self, job: Job, outcome: Outcome) -> None:
        """Consider what a job scored."""
        if job.answer is None:
            return
        for place, sample, iou in zip(job.places, job.samples, outcome.ious, strict=True):
            if not sample.absent:
                self._offer("best", iou, iou, place, sample, job.answer)
                self._offer("worst", -iou, iou, place, sample, job.answer)
            elif outcome.presence is not None:
                self._offer("false alarm", outcome.presence, outcome.presence, place, sample, job.answer)

    def shown(self) -> list[Shown]:
        """The worst first, then the best, then the loudest of the absent."""
        return [
            shown
            for heap in self._heaps.values()
            for _, _, shown in sorted(heap, key=lambda e: (-e[0], -e[1]))
        ]

    def _offer(
        self, kind: Kind, rank: float, value: float, place: int, sample: Sample, answer: Answer
    ) -> None:
        heap = self._heaps[kind]
        if len(heap) == self._kept and (rank, -place) <= heap[0][:2]:
            return
        shown = Shown(Ranked(kind, sample.image.name, sample.phrase, value, *self._by), sample, answer)
        push = heapq.heappush if len(heap) < self._kept else heapq.heapreplace
        push(heap, (rank, -place, shown))
