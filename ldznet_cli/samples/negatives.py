"""Phrases that name nothing in an image: the file's own, or drawn from what is annotated in the other images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from ldznet_cli.samples.coco import SampleSet
from ldznet_cli.samples.listing import ImageRef
from ldznet_cli.samples.sample import Sample


def absent_phrases(samples: SampleSet, per_image: int, seed: int = 0) -> dict[ImageRef, tuple[str, ...]]:
    """For each image: its samples that are annotated as absent; where it has none, `per_image` drawn phrases.

    A phrase can be drawn when neither it nor its category is annotated in the image, not even as a crowd. What no
    annotator looked for may still be there: a data set that is not annotated exhaustively has some false negatives
    among these. The draw is a function of the seed, the image's name and the phrases of the whole set.
    """
    vocabulary = _vocabulary(samples)
    # By their spelling in quotes, the order that every draw so far was made from.
    every = sorted(vocabulary, key=repr)
    return {
        image: tuple(sample.phrase for sample in own if sample.absent)
        or _draw(image, _Image(samples, vocabulary, image, own).lacks(every), per_image, seed)
        for image, own in samples.by_image().items()
    }


def absent_among(
    samples: SampleSet, candidates: Callable[[ImageRef], Iterable[str]]
) -> dict[ImageRef, tuple[str, ...]]:
    """For each image those of its `candidates` that are annotated as absent, or could be drawn by `absent_phrases`."""
    vocabulary = _vocabulary(samples)
    found = {}
    for image, own in samples.by_image().items():
        told = {sample.phrase for sample in own if sample.absent}
        asked = list(candidates(image))
        lacking = {*told, *_Image(samples, vocabulary, image, own).lacks(asked)}
        found[image] = tuple(phrase for phrase in asked if phrase in lacking)
    return found


Vocabulary = Mapping[str, set[str | None]]
"""The categories of each phrase that is annotated somewhere."""


def _vocabulary(samples: SampleSet) -> Vocabulary:
    found: dict[str, set[str | None]] = {}
    for sample in samples.samples:
        if not sample.absent:
            found.setdefault(sample.phrase, set()).add(sample.category)
    return found


class _Image:
    """The phrases and categories that an image's annotations speak of."""

    def __init__(
        self, samples: SampleSet, vocabulary: Vocabulary, image: ImageRef, own: Iterable[Sample]
    ) -> None:
        crowds = samples.crowd_only.get(image, ())
        self.vocabulary = vocabulary
        self.phrases = {*(sample.phrase for sample in own), *crowds}
        categories = {sample.category for sample in own}
        self.categories = categories.union(*(vocabulary.get(crowd, set()) for crowd in crowds)) - {None}

    def lacks(self, phrases: Iterable[str]) -> list[str]:
        """Those that are known from elsewhere and not here, nor anything of their categories."""
        return [
            phrase
            for phrase in phrases
            if phrase in self.vocabulary
            and phrase not in self.phrases
            and not self.vocabulary[phrase] & self.categories
        ]


def _draw(image: ImageRef, allowed: list[str], count: int, seed: int) -> tuple[str, ...]:
    digest = hashlib.sha256(f"ldznet.negatives|{seed}|{image.name}".encode()).digest()
    random = np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "big")))
    chosen = random.permutation(len(allowed))[:count]
    return tuple(allowed[i] for i in sorted(chosen))
