"""What `ldznet segment` writes is what is scored: the delivered masks, and the maps they were cut from, agree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ldznet_cli.evaluation import evaluate
from ldznet_cli.inference.outputs import OutputPlan
from ldznet_cli.inference.predictor import ColourPredictor, PredictorIdentity
from ldznet_cli.inference.prompts import Task, prompts_of_phrases
from ldznet_cli.inference.segment import open_ledger, segment
from ldznet_cli.samples.coco import load_coco
from ldznet_cli.samples.record import Record, parse, to_json

COLOURS = {
    "lamp": "red lamp",
    "lamp on the left": "orange lamp on the left",
    "grass": "green grass",
    "tree": "brown tree",
}


def segmented(gt: Path, out: Path) -> list[Record]:
    """The fake predictor's answers; its phrases need a colour, so the ground truth's get one."""
    text = gt.read_text()
    for phrase, coloured in COLOURS.items():
        text = text.replace(f'"{phrase}"', f'"{coloured}"')
    gt.write_text(text)
    by_image = load_coco(gt).by_image()
    tasks = [Task(image, prompts_of_phrases([s.phrase for s in group])) for image, group in by_image.items()]
    predictor = ColourPredictor()
    return list(segment(tasks, predictor, open_ledger(predictor, OutputPlan(out), 0.4)))


def test_maps_and_masks_agree(gt: Path, tmp_path: Path) -> None:
    """Scored at the prediction's own threshold, a stored map gives the very mask that was delivered beside it."""
    made = segmented(gt, tmp_path / "out")
    soft = evaluate(gt, tmp_path / "out", protocols=("native", "phrasecut"))
    hard = evaluate(gt, [replace(record, prob=None) for record in made], protocols=("native", "phrasecut"))
    assert (soft.predictions.scored, soft.predictions.missing, soft.predictions.hard) == (7, 0, 0)
    assert hard.predictions.hard == 7
    own = [score for score in soft.scores if score.threshold == "own"]
    assert any(0 < (score.value or 0) < 1 for score in own)
    for score in own:
        assert hard.score(score.protocol, score.metric, "own", score.subset).value == score.value


class TunedPredictor(ColourPredictor):
    """One whose own threshold was tuned on some ground truth."""

    @property
    def identity(self) -> PredictorIdentity:
        return replace(super().identity, tuned_on="a" * 64)


@pytest.mark.parametrize(("threshold", "expected"), [(None, "a" * 64), (0.4, None)])
def test_records_say_what_their_threshold_was_tuned_on(
    gt: Path, tmp_path: Path, threshold: float | None, expected: str | None
) -> None:
    """A threshold that the user gives is the user's."""
    predictor = TunedPredictor()
    image = load_coco(gt).samples[0].image
    ledger = open_ledger(predictor, OutputPlan(tmp_path / "out"), threshold)
    (record,) = segment([Task(image, prompts_of_phrases(["red lamp"]))], predictor, ledger)
    assert parse(to_json(record)).tuned_on == expected


def test_the_folder_without_its_records_is_a_folder_of_maps(gt: Path, tmp_path: Path) -> None:
    segmented(gt, tmp_path / "out")
    with_records = evaluate(gt, tmp_path / "out", protocols=("refcoco",))
    (tmp_path / "out/records.jsonl").unlink()
    without = evaluate(gt, tmp_path / "out", protocols=("refcoco",))
    assert (without.predictions.scored, without.predictions.ignored) == (7, {})
    np.testing.assert_allclose(
        [score.value for score in without.scores], [score.value for score in with_records.scores]
    )


def test_an_unreadable_image_is_a_failed_prediction(gt: Path, tmp_path: Path) -> None:
    (gt.parent / "images/sketch_3.png").write_bytes(b"not an image")
    made = segmented(gt, tmp_path / "out")
    report = evaluate(gt, made)
    assert (report.predictions.failed, report.predictions.missing) == (2, 2)
    assert report.score("native", "mIoU", "own", "style:sketch").missing == 2
    assert report.score("native", "absent_FPR", "own").value == pytest.approx(0)
