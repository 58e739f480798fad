"""The mask itself and the probabilities, as PNG files."""

from __future__ import annotations

from dataclasses import dataclass

from ldznet_cli.inference.formats.seams import Answer
from ldznet_cli.samples.mask_png import mask_png, prob_png


@dataclass(frozen=True)
class MaskPng:
    """8 bits, of the image's size: 0 and 255, and what lies between them only where the edge fades."""

    name: str = "mask"
    suffix: str = ".png"

    def encode(self, answer: Answer) -> bytes:
        return mask_png(answer.alpha)


@dataclass(frozen=True)
class ProbPng:
    """16 bits, on the predictor's grid: round(p * 65535). No shaping changes it."""

    name: str = "prob"
    suffix: str = ".prob.png"

    def encode(self, answer: Answer) -> bytes:
        return prob_png(answer.prob)
