"""Several processes give the digits of one; what goes wrong in one of them is one line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from ldznet_cli.errors import LdznetError
from ldznet_cli.evaluation import Answer, Evaluation, ImageKey, evaluate
from ldznet_cli.evaluation.scoreboard import Scoreboard
from ldznet_cli.evaluation.workers import DIED
from ldznet_cli.metrics import Prediction, Truth
from ldznet_cli.samples.coco import load_coco
from tests.evaluation.world import SAMPLES, records

EVERY = ("clipseg", "native", "phrasecut", "refcoco")


def test_two_processes_give_the_digits_of_one(gt: Path, tmp_path: Path) -> None:
    """Missing ones, failures, duplicates (also of what failed), strangers: all of it, and the whole report."""
    made = records(gt, tmp_path / "out")
    Path(made[1].prob or "").unlink()
    given = [*made[1:], made[2], made[1], made[3]]
    one = evaluate(gt, given, protocols=EVERY, size=64)
    two = evaluate(gt, given, protocols=EVERY, size=64, workers=2)
    assert (one.predictions.failed, one.predictions.duplicates, one.predictions.missing) == (2, 2, 2)
    assert two.to_json() == one.to_json()


@dataclass(frozen=True)
class Deadly:
    """Reading it ends the process."""

    def __call__(self) -> Prediction:
        os._exit(9)


def test_a_process_that_dies_is_an_error(gt: Path) -> None:
    samples = load_coco(gt)
    answer = Answer(ImageKey("photo_1.png"), "red lamp", Deadly())
    with Evaluation(samples, "arrays", size=64, workers=2) as run, pytest.raises(LdznetError, match=DIED):
        run.update(answer)
        run.report()


def test_boards_merge_to_the_last_bit_in_any_order() -> None:
    """Each third of the samples on a board of its own."""
    random = np.random.default_rng(0)
    samples = [
        (
            Truth(random.random((8, 8)) < 0.5, image=str(k // 2)),
            Prediction(random.random((8, 8), dtype=np.float32)),
        )
        for k in range(SAMPLES * 3)
    ]

    def board(chosen: Iterator[int]) -> Scoreboard:
        made = Scoreboard(EVERY, size=16)
        for k in chosen:
            made.score(*samples[k], ("all", f"kind:{k % 2}", f"category:{k % 5}"), missing=k == 4)
        return made

    whole = board(iter(range(len(samples))))
    parts = [board(iter(range(start, len(samples), 3))) for start in (2, 0, 1)]
    for part in parts[1:]:
        parts[0].merge(part)
    merged, once = ([result.score for result in one.results("digest")] for one in (parts[0], whole))
    assert merged == once
    assert parts[0].curves() == whole.curves()
