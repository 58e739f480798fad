"""Two sets of predictions: the difference of every number, and its interval, which pairing makes narrow."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from ldznet_cli.evaluation import Evaluation, Report, compared, comparison_tables, open_predictions
from ldznet_cli.evaluation.comparison import Comparison
from ldznet_cli.evaluation.scoreboard import Result, Scoreboard
from ldznet_cli.metrics import Prediction, Truth
from ldznet_cli.samples.coco import SampleSet, load_coco
from tests.evaluation.world import SAMPLES, arrays


def run(samples: SampleSet, given: dict[tuple[str, str], np.ndarray]) -> tuple[Report, list[Result]]:
    answers = open_predictions(given, samples)
    with Evaluation(samples, answers.source, protocols=("native", "clipseg"), size=32) as evaluation:
        for answer in answers:
            evaluation.update(answer)
        return evaluation.report(), evaluation.results


def comparison(gt: Path) -> Comparison:
    """The second has no prediction for one sample, and calls another one empty."""
    samples = load_coco(gt)
    first = arrays(samples)
    keys = list(first)
    second = {key: np.zeros_like(first[key]) if key == keys[1] else first[key] for key in keys[1:]}
    (a, mine), (b, theirs) = run(samples, first), run(samples, second)
    return compared(a, b, (mine, theirs))


def test_every_number_of_both(gt: Path) -> None:
    found = comparison(gt)
    assert len(found.differences) == len(found.a.scores) == len(found.b.scores)
    for one in found.differences:
        assert one.a.samples == one.b.samples
        if one.difference is not None:
            assert one.difference == (one.b.value or 0) - (one.a.value or 0)
    (native, *_) = found.differences
    assert (native.a.missing, native.b.missing) == (0, 1)
    assert native.a.samples == SAMPLES


def test_json(gt: Path) -> None:
    found = comparison(gt)
    data = json.loads(found.to_json())
    assert data["schema"] == "ldznet.comparison/1"
    first = data["differences"][0]
    assert first["difference"] == first["b"]["value"] - first["a"]["value"]
    assert {"protocol", "version", "size", "subset", "metric", "threshold", "samples", "ground_truth"} <= set(
        first
    )
    assert data["a"]["schema"] == data["b"]["schema"] == "ldznet.report/1"


def test_tables(gt: Path) -> None:
    numbers, subsets, other, *_ = comparison_tables(comparison(gt))
    [area] = [row[0] for row in other.rows if row[0].startswith("AP over")]
    assert re.match(r"AP over recall \S+ to \S+ \(B: \S+ to \S+\) at ", area)
    assert "7 samples, 0 missing in A, 1 in B" in numbers.title
    row = dict(zip(numbers.columns, numbers.rows[0], strict=True))
    assert row["number"] == "mIoU at own"
    assert row["B - A"].startswith("-")
    assert row["95 % of B - A"].startswith("[-")
    assert subsets.title == "native mIoU at own by subset, in %"
    assert ("kind:stuff", "2") in [row[:2] for row in subsets.rows]


def board(shift: float, seed: int) -> list[Result]:
    """200 images that differ much; the prediction is right for a share of the pixels that differs by `shift`."""
    random, noise = np.random.default_rng(1), np.random.default_rng(seed)
    made = Scoreboard(("native",), seed=0)
    for k in range(200):
        mask = random.random((16, 16)) < 0.5
        right = noise.random((16, 16)) < random.random() * 0.8 + shift
        made.score(
            Truth(mask, image=str(k)), Prediction(np.where(right, mask, ~mask).astype(np.float32)), ("all",)
        )
    return made.results("digest")


def test_pairing_narrows_the_interval_and_is_as_wide_as_the_textbook_has_it(gt: Path) -> None:
    samples = load_coco(gt)
    report, _ = run(samples, arrays(samples))
    one, two = board(0.0, 5), board(0.05, 6)
    found = compared(report, report, (one, two)).differences[0]
    assert found.interval is not None
    assert found.a.interval is not None
    width = found.interval[1] - found.interval[0]
    assert width < 0.5 * (found.a.interval[1] - found.a.interval[0])
    assert found.interval[0] < (found.difference or 0) < found.interval[1]
    same = compared(report, report, (one, one)).differences[0]
    assert (same.difference, same.interval) == (0.0, (0.0, 0.0))


def test_what_cannot_be_had_has_no_difference(gt: Path) -> None:
    samples = load_coco(gt)
    soft = arrays(samples)
    hard = {
        key: np.zeros((s.height, s.width), dtype=bool) for key, s in zip(soft, samples.samples, strict=True)
    }
    (a, mine), (b, theirs) = run(samples, soft), run(samples, hard)
    differences = compared(a, b, (mine, theirs)).differences
    found = next(d for d in differences if (d.a.protocol, d.a.metric, d.a.subset) == ("native", "AP", "all"))
    assert (found.difference, found.interval, found.b.value) == (None, None, None)
    assert found.a == a.score("native", "AP")
