"""The samples worth looking at: few, in order, and by masks as they are delivered where those are scored."""

from __future__ import annotations

from pathlib import Path

import pytest

from ldznet_cli.evaluation import evaluate
from ldznet_cli.evaluation.answer import Answer, ImageKey
from ldznet_cli.evaluation.ranking import Ranking
from ldznet_cli.evaluation.scoreboard import ranked_by
from ldznet_cli.evaluation.scoring import Job, Outcome
from ldznet_cli.metrics import Prediction
from ldznet_cli.samples.coco import load_coco
from tests.evaluation.world import arrays


def test_few_of_each_kind_in_order(gt: Path) -> None:
    sample = next(s for s in load_coco(gt).samples if not s.absent)
    ranking = Ranking(("native", "own"), kept=2)
    answer = Answer(ImageKey("x"), "x", Prediction.nothing)
    for place, iou in enumerate((0.5, 0.1, 0.9, 0.1, 0.3, 0.9)):
        ranking.add(Job((place,), (sample,), answer), Outcome(ious=(iou,)))
    ranking.add(Job((9,), (sample,)), Outcome(ious=(0.0,)))  # missing
    assert [(s.ranked.kind, s.ranked.value) for s in ranking.shown()] == [
        ("worst", 0.1),
        ("worst", 0.1),
        ("best", 0.9),
        ("best", 0.9),
    ]


def test_absent_phrases_are_false_alarms(gt: Path) -> None:
    ranked = evaluate(gt, arrays(load_coco(gt)), protocols=("native",)).ranked
    alarms = [one for one in ranked if one.kind == "false alarm"]
    assert [(one.image, one.phrase) for one in alarms] == [("sketch_3.png", "lamp")]
    assert len([one for one in ranked if one.kind == "worst"]) == 6


@pytest.mark.parametrize(
    ("protocols", "expected"),
    [
        (("clipseg", "native"), ("native", "own")),
        (("clipseg", "phrasecut", "native"), ("phrasecut", "own")),
        (("clipseg", "refcoco"), ("clipseg", "0.5")),
    ],
)
def test_delivered_masks_go_first(protocols: tuple[str, ...], expected: tuple[str, str]) -> None:
    assert ranked_by(protocols) == expected
