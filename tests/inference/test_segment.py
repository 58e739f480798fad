from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

from ldznet_cli.errors import PromptError, UsageError
from ldznet_cli.inference import (
    ColourPredictor,
    OutputPlan,
    Predictor,
    ProbMap,
    Task,
    open_ledger,
    prompts_of,
    segment,
)
from ldznet_cli.inference.prompts import Prompt
from ldznet_cli.inference.record_file import read_records
from ldznet_cli.samples.listing import list_images
from ldznet_cli.samples.masks import decode_rle, read_mask, read_prob
from ldznet_cli.samples.record import Record, schema, to_json

PROMPTS = prompts_of(["red", "blue thing=sky"])


@dataclass(frozen=True)
class Counting(ColourPredictor):
    """Remembers what it was asked."""

    asked: Any = None

    def predict(self, image: Image.Image, sha256: str, phrases: Sequence[str]) -> list[ProbMap]:
        self.asked.append((image.size, tuple(phrases)))
        return super().predict(image, sha256, phrases)


def tasks_in(folder: Path, prompts: tuple[Prompt, ...] = PROMPTS) -> list[Task]:
    return [Task(ref, prompts) for ref in list_images([folder])]


def run(folder: Path, out: Path, predictor: Predictor | None = None, **options: Any) -> list[Record]:
    predictor = predictor or ColourPredictor()
    tasks = tasks_in(folder, options.pop("prompts", PROMPTS))
    ledger = open_ledger(predictor, OutputPlan(out, rle=True), overwrite=options.pop("overwrite", False))
    return list(segment(tasks, predictor, ledger, **options))


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_a_record_for_each_image_and_phrase(pictures: Path, tmp_path: Path) -> None:
    records = run(pictures, tmp_path / "out")
    assert [(r.image.name, r.label) for r in records] == [
        (name, label) for name in ("a.png", "b.jpg", "deep/c.png") for label in ("red", "sky")
    ]
    for record in records:
        jsonschema.Draft202012Validator(schema()).validate(json.loads(to_json(record)))
        assert record.mask is not None
        assert record.prob is not None
        assert record.rle is not None
        assert record.geometry is not None
        mask = read_mask(Path(record.mask))
        with Image.open(record.image.path) as image:
            assert image.size == (record.image.width, record.image.height)
            assert mask.shape == image.size[::-1]
        assert record.area == mask.sum()
        assert np.array_equal(decode_rle(record.rle["counts"], *mask.shape), mask)
        assert read_prob(Path(record.prob)).shape == record.geometry.grid
    red, sky = records[:2]
    assert red.box is not None
    assert red.box[:2] == (0, 0)
    assert abs(red.box[2] - 48) <= 2
    assert (red.score or 0) > 0.9
    assert (sky.area, sky.box) == (0, None)
    assert (sky.phrase, sky.label, sky.prompt) == ("blue thing", "sky", "blue thing")


def test_the_same_command_writes_the_same_bytes(pictures: Path, tmp_path: Path, monkeypatch: Any) -> None:
    found = []
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        monkeypatch.chdir(tmp_path / place)
        run(pictures, Path("out"))
        found.append(tree(Path("out")))
    assert found[0] == found[1]
    assert {"records.jsonl", "run.json", "a/red.png", "deep/c/sky.prob.png"} <= set(found[0])
    run(pictures, Path("out"))
    assert tree(Path("out")) == found[0]


def test_the_records_on_disk_are_those_that_were_told(pictures: Path, tmp_path: Path) -> None:
    records = run(pictures, tmp_path / "out")
    assert list(read_records(tmp_path / "out" / "records.jsonl")) == records
    manifest = json.loads((tmp_path / "out" / "run.json").read_text())
    assert (manifest["images"], manifest["masks"], manifest["failed"]) == (3, 6, 0)
    assert manifest["settings_digest"] == records[0].settings
    assert not (tmp_path / "out" / "failed.jsonl").exists()


def test_what_is_done_is_told_again_and_not_made_again(pictures: Path, tmp_path: Path) -> None:
    first = run(pictures, tmp_path / "out", Counting(asked=[]))
    again = Counting(asked=[])
    assert run(pictures, tmp_path / "out", again) == first
    assert again.asked == []
    (tmp_path / "out" / "b" / "sky.png").unlink()
    assert run(pictures, tmp_path / "out", again) == first
    assert again.asked == [((40, 80), ("blue thing",))]


def test_other_settings_make_it_anew(pictures: Path, tmp_path: Path) -> None:
    first = run(pictures, tmp_path / "out")
    stricter = Counting(threshold=0.99, asked=[])
    second = run(pictures, tmp_path / "out", stricter)
    assert len(stricter.asked) == 3
    assert {r.settings for r in first}.isdisjoint({r.settings for r in second})
    assert list(read_records(tmp_path / "out" / "records.jsonl")) == second


def test_overwrite_makes_it_anew(pictures: Path, tmp_path: Path) -> None:
    run(pictures, tmp_path / "out")
    again = Counting(asked=[])
    run(pictures, tmp_path / "out", again, overwrite=True)
    assert len(again.asked) == 3


def test_further_prompts_join_those_that_are_there(pictures: Path, tmp_path: Path) -> None:
    first = run(pictures, tmp_path / "out", prompts=prompts_of(["red"]))
    more = run(pictures, tmp_path / "out", prompts=prompts_of(["blue"]))
    assert list(read_records(tmp_path / "out" / "records.jsonl")) == more + first


def test_one_bad_image_does_not_stop_the_others(pictures: Path, tmp_path: Path) -> None:
    (pictures / "b.jpg").write_bytes((pictures / "b.jpg").read_bytes()[:200])
    records = run(pictures, tmp_path / "out")
    bad = [record for record in records if record.error is not None]
    assert [(r.image.name, r.label) for r in bad] == [("b.jpg", "red"), ("b.jpg", "sky")]
    assert all("damaged or truncated" in str(record.error) for record in bad)
    assert len(records) == 6
    assert list(read_records(tmp_path / "out" / "failed.jsonl")) == bad
    for record in bad:
        jsonschema.Draft202012Validator(schema()).validate(json.loads(to_json(record)))
    assert json.loads((tmp_path / "out" / "run.json").read_text())["failed"] == 2


def test_a_repaired_image_is_tried_again(pictures: Path, tmp_path: Path) -> None:
    whole = (pictures / "b.jpg").read_bytes()
    (pictures / "b.jpg").write_bytes(b"")
    run(pictures, tmp_path / "out")
    (pictures / "b.jpg").write_bytes(whole)
    again = Counting(asked=[])
    assert all(record.error is None for record in run(pictures, tmp_path / "out", again))
    assert [size for size, _ in again.asked] == [(40, 80)]
    assert not (tmp_path / "out" / "failed.jsonl").exists()


def test_stopped_and_gone_on_with_is_as_never_stopped(
    pictures: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    for place in ("stopped", "straight"):
        (tmp_path / place).mkdir()
        monkeypatch.chdir(tmp_path / place)
        if place == "stopped":
            part = run(pictures, Path("out"), stop=lambda: True)
            assert [record.image.name for record in part] == ["a.png", "a.png"]
            assert not Path("out/run.json").exists()
        run(pictures, Path("out"))
    assert tree(tmp_path / "stopped") == tree(tmp_path / "straight")


def test_a_reader_that_goes_away_leaves_whole_things(pictures: Path, tmp_path: Path) -> None:
    predictor, out = ColourPredictor(), tmp_path / "out"
    records = segment(tasks_in(pictures), predictor, open_ledger(predictor, OutputPlan(out)))
    first = next(records)
    records.close()
    assert next(read_records(out / "records.jsonl")) == first
    assert all(path.stat().st_size for path in out.rglob("*.*"))
    assert not list(out.rglob("*.part"))


def test_nothing_is_begun_when_results_collide(pictures: Path, tmp_path: Path) -> None:
    (pictures / "a.webp").write_bytes((pictures / "a.png").read_bytes())
    asked = Counting(asked=[])
    with pytest.raises(UsageError, match="would both be"):
        run(pictures, tmp_path / "out", asked)
    assert asked.asked == []


def test_nothing_is_begun_when_a_phrase_cannot_be_put(pictures: Path, tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Refusing(Counting):
        def check(self, phrases: Sequence[str]) -> None:
            assert list(phrases) == ["red", "blue thing"]
            raise PromptError("too long")

    asked = Refusing(asked=[])
    with pytest.raises(PromptError):
        run(pictures, tmp_path / "out", asked)
    assert asked.asked == []
