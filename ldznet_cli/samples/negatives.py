"""Phrases that name nothing in an image: the file's own, or drawn from what is annotated in the other images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from ldznet_cli.samples.listing import ImageRef
from ldznet_cli.samples.sample import Sample


def absent_phrases(
    samples: Sequence[Sample], per_image: int, seed: int = 0
) -> dict[ImageRef, tuple[str, ...]]:
    """For each image: its samples that are annotated as absent; where it has none, `per_image` drawn phrases.

    A phrase can be drawn when neither it nor its category is annotated in the image. What no annotator looked for
    may still be there: a data set that is not annotated exhaustively has some false negatives among these. The draw
    is a function of the seed, the image's name and the phrases of the whole set.
    """
    vocabulary = sorted(
        {(sample.phrase, sample.category) for sample in samples if not sample.absent}, key=str
    )
    return {
        image: tuple(sample.phrase for sample in own if sample.absent)
        or _draw(image, own, vocabulary, per_image, seed)
        for image, own in _by_image(samples).items()
    }


def _by_image(samples: Sequence[Sample]) -> dict[ImageRef, list[Sample]]:
    found: dict[ImageRef, list[Sample]] = {}
    for sample in samples:
        found.setdefault(sample.image, []).append(sample)
    return found


def _draw(
    image: ImageRef,
    own: Sequence[Sample],
    vocabulary: Sequence[tuple[str, str | None]],
    count: int,
    seed: int,
) -> tuple[str, ...]:
    phrases = {sample.phrase for sample in own}
    categories = {sample.category for sample in own if sample.category is not None}
    allowed = [p for p, category in vocabulary if p not in phrases and category not in categories]
    digest = hashlib.sha256(f"ldznet.negatives|{seed}|{image.name}".encode()).digest()
    random = np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "big")))
    chosen = random.permutation(len(allowed))[:count]
    return tuple(allowed[i] for i in sorted(chosen))
