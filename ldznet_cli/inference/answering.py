"""From a prompt's probabilities to its answer about the image: cut, shaped, measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ldznet_cli.inference.decision import Decision, absent, decide
from ldznet_cli.inference.formats import Answer
from ldznet_cli.samples.instances import instances_of
from ldznet_cli.samples.masks import area, box, encode_rle
from ldznet_cli.samples.outline import Ring, kept, outlines
from ldznet_cli.samples.shaping import Shaping


@dataclass(frozen=True)
class Finish:
    """The mask is where p > `threshold`, if the presence score is at least `min_score`; then it is shaped."""

    threshold: float = 0.5
    min_score: float | None = None
    shaping: Shaping = field(default_factory=Shaping)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Answered:
    """An answer with what records tell of it. `present` is None where no least score was asked for."""

    answer: Answer
    decision: Decision
    present: bool | None
    rings: Sequence[Ring]
    polygon_iou: float | None

    def measured(self, *, rle: bool) -> dict[str, Any]:
        """The fields of its record. Boxes and areas are those of the shaped mask."""
        mask = self.answer.mask
        return {
            "score": self.decision.score,
            "present": self.present,
            "area": area(mask),
            "box": box(mask),
            "instances": instances_of(mask, self.decision.pixels),
            "rle": encode_rle(mask) if rle else None,
            "polygon_iou": self.polygon_iou,
        }


def answered(
    image: Image.Image, label: str, prob: NDArray[np.float32], finish: Finish, outlined: bool = False
) -> Answered:
    """`prob` is float32 (h, w) on the predictor's grid; with `outlined` the mask is traced, too."""
    decision = decide(prob, *image.size, finish.threshold)
    present = None if finish.min_score is None else decision.score >= finish.min_score
    if present is False:
        decision = absent(decision)
    # What is not there has no mask to shape: inverted it would be the whole image.
    mask = decision.mask if present is False else finish.shaping.mask(decision.mask)
    rings = outlines(mask) if outlined else []
    return Answered(
        Answer(image, label, decision.prob, mask, finish.shaping.alpha(mask)),
        decision,
        present,
        rings,
        round(kept(rings, mask), 6) if outlined else None,
    )
