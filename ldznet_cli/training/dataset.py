"""From annotated samples and a feature source to batches, each a function of its number alone."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ldznet_cli.features.source import FeatureItem, FeatureSource
from ldznet_cli.samples.geometry import Geometry, to_pixels
from ldznet_cli.samples.images import read_view, sha256_of
from ldznet_cli.samples.listing import ImageRef
from ldznet_cli.samples.masks import resize_mask
from ldznet_cli.samples.sample import Mask, Sample
from ldznet_cli.samples.view import ViewPolicy
from ldznet_cli.training.order import BatchOrder, Share, generator

SQUARE = (512, 512)
"""(width, height) that stands for all squares: the network's grid for them is one."""


@dataclass
class Batch:
    """What one forward and backward pass eats.

    `inputs`: z (B, 4, h, w), or the image (B, 3, H, W) in [-1, 1] for RGBNet; `text` (B, L, D); `features` by
    block index, (B, C, h, w) each; `target` (B, 1, H, W), 0 or 1; `names` tell the samples in messages; `weight` is
    the part of the step's mean loss that this batch's mean makes up. `counted` (B, 1, H, W) is 0 where nobody can say
    what is right (crowds), else 1; None where all of it counts.
    """

    inputs: Tensor
    text: Tensor
    features: dict[int, Tensor]
    target: Tensor
    names: list[str]
    weight: float = 1.0
    counted: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same batch on `device`."""
        return replace(
            self,
            inputs=self.inputs.to(device),
            text=self.text.to(device),
            features={index: feature.to(device) for index, feature in self.features.items()},
            target=self.target.to(device),
            counted=None if self.counted is None else self.counted.to(device),
        )


@dataclass(frozen=True)
class Question:
    """A phrase put to (a view of) an image: `sample` is None when the phrase names something absent.

    `size` is the (width, height) of what is seen.
    """

    image: ImageRef
    size: tuple[int, int]
    phrase: str
    sample: Sample | None

    @property
    def name(self) -> str:
        """How messages call it."""
        return f"{self.image.name} ({self.phrase!r}{'' if self.sample else ', absent'})"


@dataclass(frozen=True)
class Reader:
    """Makes batches of questions: features from `source`, masks on the network's own grid.

    A mask pixel of the grid is foreground when at least half of it is covered. `rgb` feeds the image itself
    in place of z (RGBNet).
    """

    source: FeatureSource
    geometry: Geometry
    rgb: bool = False

    def grid(self, question: Question) -> tuple[int, int]:
        """(W, H) of the network's grid for this question, in pixels."""
        return self.geometry.network_size(*question.size)

    def batch(self, questions: Sequence[Question], draws: Sequence[int]) -> Batch:
        """The batch of `questions`, all of one grid size, each with its noise draw."""
        parts = [
            self.source.features(question.image, [FeatureItem(question.phrase, draw)])[0]
            for question, draw in zip(questions, draws, strict=True)
        ]
        inputs = (
            [self._pixels(question) for question in questions] if self.rgb else [part.z for part in parts]
        )
        return Batch(
            torch.stack(inputs),
            torch.stack([part.text for part in parts]),
            {index: torch.stack([part.blocks[index] for part in parts]) for index in parts[0].blocks},
            torch.stack([self._target(question) for question in questions]),
            [question.name for question in questions],
            counted=self._counted(questions),
        )

    def _pixels(self, question: Question) -> Tensor:
        return torch.from_numpy(to_pixels(read_view(question.image), self.geometry))

    def _target(self, question: Question) -> Tensor:
        if question.sample is None:
            return torch.zeros(1, *reversed(self.grid(question)))
        return self._on_grid(question, question.sample.mask())

    def _counted(self, questions: Sequence[Question]) -> Tensor | None:
        if not any(question.sample and question.sample.ignored for question in questions):
            return None
        return torch.stack([1 - self._ignored(question) for question in questions])

    def _ignored(self, question: Question) -> Tensor:
        if question.sample is None or not question.sample.ignored:
            return torch.zeros(1, *reversed(self.grid(question)))
        return self._on_grid(question, question.sample.ignore())

    def _on_grid(self, question: Question, mask: Mask) -> Tensor:
        """(1, H, W), 0 or 1: a mask of the whole image, as the question's view of it has it."""
        found = resize_mask(question.image.view.of_mask(mask), *self.grid(question))
        return torch.from_numpy(found.astype(np.float32))[None]


class TrainingSet(Dataset[Batch]):
    """Batches by number. Which samples, which noise draws and which absent phrases is drawn from the seed.

    A step's batch comes in as many passes as `share` says, numbered through: step * passes + pass. `absent` gives the
    phrases of each image that may be used as negatives; `draws` is how many noise draws a cache holds, None when
    every draw can be had (live features). With `views` each sample is seen in one of them.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        reader: Reader,
        *,
        batch: int,
        seed: int,
        negatives: float = 0.0,
        absent: Mapping[ImageRef, Sequence[str]] | None = None,
        draws: int | None = None,
        views: ViewPolicy | None = None,
    ) -> None:
        self.samples = [sample for sample in samples if not sample.absent]
        self.reader, self.seed = reader, seed
        self.negatives, self.absent, self.draws = negatives, absent or {}, draws
        self.views = views
        cropped = views is not None and views.crop is not None
        sizes = [SQUARE if cropped else (sample.width, sample.height) for sample in self.samples]
        grids = [reader.geometry.network_size(*size) for size in sizes]
        self.order = BatchOrder(grids, batch, seed)
        self.share = Share()

    def shared(self, share: Share) -> TrainingSet:
        """The same batches, of which `share` is read."""
        made = copy.copy(self)
        made.share = share
        return made

    def __getitem__(self, number: int) -> Batch:
        step, which = divmod(number, self.share.passes)
        epoch, batch = self.order[step]
        indices, weight = self.share.of(batch, which)
        questions, draws = zip(*[self._question(epoch, index) for index in indices], strict=True)
        return replace(self.reader.batch(questions, draws), weight=weight)

    def _question(self, epoch: int, index: int) -> tuple[Question, int]:
        sample = self.samples[index]
        random = generator(self.seed, "sample", epoch, index)
        draw = int(random.integers(self.draws if self.draws is not None else 2**31))
        absent = self.absent.get(sample.image, ())
        negative = bool(absent) and random.random() < self.negatives
        asked = question(sample, absent[int(random.integers(len(absent)))] if negative else None)
        return self._seen(asked, random) if self.views else asked, draw

    def _seen(self, asked: Question, random: np.random.Generator) -> Question:
        """The question put to one of its image's views."""
        assert self.views is not None
        index = 1 + int(random.integers(self.views.count if self.views.count is not None else 2**31))
        mask = asked.sample.mask() if asked.sample else None
        view = self.views.of(_sha256(asked.image.path), asked.phrase, index, asked.size, mask)
        image = replace(asked.image, view=view)
        return Question(image, view.size(*asked.size), view.of_phrase(asked.phrase), asked.sample)


def question(sample: Sample, absent: str | None = None) -> Question:
    """The question that `sample` answers, or another phrase put to its image, which is absent there."""
    size = (sample.width, sample.height)
    return Question(sample.image, size, absent or sample.phrase, None if absent else sample)


@lru_cache(maxsize=100_000)
def _sha256(path: Path) -> str:
    return sha256_of(path)
