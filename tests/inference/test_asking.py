"""Synonyms and negatives, on maps that are easy to see through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from ldznet_cli.inference import ColourPredictor, ProbMap
from ldznet_cli.inference.asking import ask, phrases_of
from ldznet_cli.inference.prompts import prompts_of
from ldznet_cli.samples.record import RecordGeometry

IMAGE = Image.new("RGB", (4, 1))
MAPS = {"dog": [0.9, 0.4, 0.2, 0.0], "puppy": [0.1, 0.6, 0.3, 0.0], "cat": [0.9, 0.7, 0.1, 0.0]}


@dataclass(frozen=True)
class Known(ColourPredictor):
    asked: list[Sequence[str]] = field(default_factory=list)

    def predict(self, image: Image.Image, sha256: str, phrases: Sequence[str]) -> list[ProbMap]:
        self.asked.append(phrases)
        shape = RecordGeometry("square", 4, (1, 4))
        return [ProbMap(np.array([MAPS[phrase]], dtype=np.float32), shape) for phrase in phrases]


def answers(*texts: str, negatives: Sequence[str] = ()) -> list[list[float]]:
    maps = ask(Known(), IMAGE, "0" * 64, prompts_of(texts, negatives))
    assert all(one.prob.dtype == np.float32 for one in maps)
    return [[round(float(p), 4) for p in one.prob[0]] for one in maps]


def test_synonyms_are_joined_by_their_maximum() -> None:
    assert answers("dog|puppy", "cat") == [[0.9, 0.6, 0.3, 0.0], MAPS["cat"]]


def test_a_negative_takes_what_it_is_more_probable_at() -> None:
    assert answers("dog", negatives=["cat"]) == [[0.9, 0.0, 0.2, 0.0]]
    assert answers("dog|puppy", negatives=["cat"]) == [[0.9, 0.0, 0.3, 0.0]]
    assert answers("dog", negatives=["dog"]) == [MAPS["dog"]]


def test_each_phrase_is_put_once() -> None:
    predictor = Known()
    prompts = prompts_of(["dog|puppy", "puppy=young", "cat"], ["cat"])
    ask(predictor, IMAGE, "0" * 64, prompts)
    assert predictor.asked == [["dog", "puppy", "cat"]] == [phrases_of(prompts)]
