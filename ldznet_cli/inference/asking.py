"""Prompts put to a predictor: each phrase once, synonyms joined by their maximum, negatives taking what is theirs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from PIL import Image

from ldznet_cli.inference.predictor import Predictor, ProbMap
from ldznet_cli.inference.prompts import Prompt


def phrases_of(prompts: Iterable[Prompt]) -> list[str]:
    """Every phrase that the prompts need an answer to, once."""
    return list(dict.fromkeys(phrase for prompt in prompts for phrase in prompt.asked))


def ask(predictor: Predictor, image: Image.Image, sha256: str, prompts: Sequence[Prompt]) -> list[ProbMap]:
    """One map for each prompt, in order.

    With synonyms p is their maximum; with negatives n it is p where p >= n for each of them, and 0 elsewhere: a
    position at which another thing is more probable is that thing's.
    """
    phrases = phrases_of(prompts)
    found = dict(zip(phrases, predictor.predict(image, sha256, phrases), strict=True))
    return [_joined(prompt, found) for prompt in prompts]


def _joined(prompt: Prompt, found: Mapping[str, ProbMap]) -> ProbMap:
    first = found[prompt.positives[0]]
    if prompt.asked == prompt.positives[:1]:
        return first
    prob = np.max([found[phrase].prob for phrase in prompt.positives], axis=0)
    for negative in prompt.negatives:
        prob = np.where(prob >= found[negative].prob, prob, np.float32(0))
    return ProbMap(prob, first.geometry)
