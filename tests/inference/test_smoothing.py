"""Means over time, by hand; and runs that are interrupted, repaired and thinned come to the same."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ldznet_cli.errors import UsageError
from ldznet_cli.inference import ColourPredictor, OutputPlan, ProbMap, Task, open_ledger, segment
from ldznet_cli.inference.clips import in_time
from ldznet_cli.inference.prompts import Prompt
from ldznet_cli.inference.record_file import read_records
from ldznet_cli.samples.images import list_images
from ldznet_cli.samples.masks import read_prob
from ldznet_cli.samples.record import Record, RecordGeometry, parse, to_json


@dataclass(frozen=True)
class Brightness(ColourPredictor):
    """The probability is the picture's own grey."""

    asked: list[int] = field(default_factory=list)

    def predict(self, image: Image.Image, sha256: str, phrases: Sequence[str]) -> list[ProbMap]:
        grey = np.asarray(image)[:, :, 0].astype(np.float32) / 255
        self.asked.append(int(np.asarray(image)[0, 0, 0]))
        return [ProbMap(grey, RecordGeometry("as it is", 4, grey.shape)) for _ in phrases]  # type: ignore[arg-type]


LEVELS = (0, 30, 60, 90, 240, 120, 150)


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for number, level in enumerate(LEVELS):
        Image.new("RGB", (6, 4), (level,) * 3).save(tmp_path / "in" / f"{number}.png")
    return tmp_path / "in"


def run(folder: Path, out: Path, smooth: int = 3, stop_after: int = 99, **more: Any) -> list[Record]:
    predictor = more.pop("predictor", Brightness())
    tasks = in_time([Task(ref, (Prompt("x", "x"),)) for ref in list_images([folder])])
    ledger = open_ledger(predictor, OutputPlan(out), 0.5, tasks=tasks, smooth=smooth, **more)
    told: list[Record] = []
    for record in segment(tasks, predictor, ledger, smooth=smooth, stop=lambda: len(told) >= stop_after):
        told.append(record)
    return told


def levels(out: Path) -> list[float]:
    found = (read_prob(out / str(n) / "x.prob.png") for n in range(len(LEVELS)))
    return [round(float(prob[0, 0]) * 255, 1) for prob in found]


def everything(out: Path) -> dict[str, bytes]:
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


def test_the_mean_is_centred_and_shorter_at_the_ends(frames: Path, tmp_path: Path) -> None:
    run(frames, tmp_path / "out")
    assert levels(tmp_path / "out") == [15, 30, 60, 130, 150, 170, 135]
    run(frames, tmp_path / "five", 5)
    assert levels(tmp_path / "five") == [30, 45, 84, 108, 132, 150, 170]
    run(frames, tmp_path / "all", 99)
    assert levels(tmp_path / "all") == [98.6] * 7
    run(frames, tmp_path / "one", 1)
    assert levels(tmp_path / "one") == list(LEVELS)


def test_each_frame_is_put_to_the_predictor_once(frames: Path, tmp_path: Path) -> None:
    predictor = Brightness()
    run(frames, tmp_path / "out", 5, predictor=predictor)
    assert predictor.asked == list(LEVELS)


@pytest.mark.parametrize("after", [1, 3, 6])
def test_an_interrupted_run_comes_to_the_same(frames: Path, tmp_path: Path, after: int) -> None:
    run(frames, tmp_path / "whole", 5)
    assert len(run(frames, tmp_path / "out", 5, stop_after=after)) == after
    predictor = Brightness()
    run(frames, tmp_path / "out", 5, predictor=predictor)
    moved = {
        name: content.replace(b"/out/", b"/whole/") for name, content in everything(tmp_path / "out").items()
    }
    assert moved == everything(tmp_path / "whole")
    assert predictor.asked == list(LEVELS[max(0, after - 2) :])  # what the missing ones need, no more


def test_a_frame_that_changed_changes_those_around_it(frames: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(frames, out)
    Image.new("RGB", (6, 4), (0,) * 3).save(frames / "4.png")
    predictor = Brightness()
    run(frames, out, predictor=predictor)
    assert levels(out) == [15, 30, 60, 50, 70, 90, 135]
    assert predictor.asked == [60, 90, 0, 120, 150]
    run(frames, out, predictor=(again := Brightness()))
    assert again.asked == []


def test_frames_that_fail_or_have_another_shape_do_not_count(frames: Path, tmp_path: Path) -> None:
    (frames / "2.png").write_bytes(b"damaged")
    Image.new("RGB", (4, 6), (255,) * 3).save(frames / "4.png")
    told = run(frames, tmp_path / "out")
    assert [record.error is None for record in told] == [True, True, False, True, True, True, True]
    shutil.copytree(tmp_path / "out/1", tmp_path / "out/2")
    assert levels(tmp_path / "out") == [15, 15, 15, 90, 255, 135, 135]


def test_only_what_failed_is_tried_again_with_its_neighbours(frames: Path, tmp_path: Path) -> None:
    whole, out = (frames / "3.png").read_bytes(), tmp_path / "out"
    (frames / "3.png").write_bytes(b"damaged")
    run(frames, out)
    (frames / "3.png").write_bytes(whole)
    predictor = Brightness()
    told = run(frames, out, predictor=predictor, retry_failed=True)
    assert [record.image.name for record in told] == ["3.png"]
    assert predictor.asked == [60, 90, 240]
    assert levels(out)[3] == 130


def test_records_carry_the_window_only_where_there_is_one(frames: Path, tmp_path: Path) -> None:
    run(frames, tmp_path / "out", 1)
    assert all('"window"' not in to_json(record) for record in read_records(tmp_path / "out/records.jsonl"))
    told = run(frames, tmp_path / "smooth", 3)
    assert len({record.window for record in told}) == len(LEVELS)
    assert [parse(to_json(record)) for record in told] == told


def test_an_even_number_has_no_middle(frames: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--smooth 4: expected an odd number"):
        run(frames, tmp_path / "out", 4)
