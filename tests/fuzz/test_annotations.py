"""Annotations, records and results that are not what they say: samples and scores, or one line."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ldznet_cli.cli import main
from ldznet_cli.errors import LdznetError
from ldznet_cli.evaluation import evaluate
from ldznet_cli.samples.coco import load_coco
from ldznet_cli.samples.masks import encode_rle
from ldznet_cli.samples.record import to_json
from tests.evaluation.world import records, write_world
from tests.fuzz.damage import changed_often, damaged, deep

PROTOCOLS = ("native", "clipseg", "refcoco", "phrasecut")


class World:
    """A ground truth with every kind of annotation, and predictions for it in two forms."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.gt = folder, write_world(folder)
        self.truth = json.loads(self.gt.read_text())
        self.truth["annotations"] += _masks()
        self.truth["categories"].append(
            {"id": 9, "name": "it", "prompt": "a thing", "supercategory": "stuff"}
        )
        self.truth["info"] = {"style": "photo"}
        self.gt.write_text(json.dumps(self.truth))
        self.records = [json.loads(to_json(record)) for record in records(self.gt, folder / "pred")]
        for record in self.records[::2]:
            size = record["image"]["height"], record["image"]["width"]
            record |= {"prob": None, "rle": encode_rle(np.ones(size, bool)), "files": {"cutout": "x.png"}}
            record |= {"instances": [{"box": [1, 2, 3, 4], "area": 3, "score": 0.5}], "negatives": ["a"]}
        self.results = [
            {"image_id": sample.image_id, "phrase": sample.phrase, "category_id": 1, "score": 0.5}
            | {"segmentation": encode_rle(sample.mask())}
            for sample in load_coco(self.gt).samples
        ]

    def put(self, name: str, content: bytes | str) -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path


def _masks() -> list[dict[str, Any]]:
    mask = np.zeros((30, 40), dtype=bool)
    mask[3:9, 4:20] = True
    crowd = {"size": [16, 16], "counts": [5, 200, 51]}
    return [
        {
            "id": 50,
            "image_id": 1,
            "category_id": 1,
            "segmentation": encode_rle(mask),
            "area": 96,
            "iscrowd": 0,
        },
        {"id": 51, "image_id": 3, "category_id": 3, "segmentation": crowd, "iscrowd": 1, "sample_id": 3},
    ]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


def outcome(work: Callable[[], Any]) -> str:
    """The kind of refusal, "fine" where there is none; anything else that is raised fails the test."""
    try:
        work()
    except LdznetError as error:
        refusal = error
    else:
        return "fine"
    assert str(refusal).isprintable()
    return type(refusal).__name__


def spoilt(value: Any, rng: random.Random) -> bytes:
    """JSON of another structure, or now and then the same in damaged bytes."""
    if rng.random() < 0.15:
        return damaged(json.dumps(value).encode(), rng)
    return json.dumps(changed_often(value, rng)).encode()


def test_thousands_of_ground_truths(world: World) -> None:
    def read() -> None:
        for sample in load_coco(gt, per_annotation=seed % 2 == 0).samples:
            assert sample.image.path.is_relative_to(world.folder)
            assert ".." not in sample.image.path.parts
            if sample.width * sample.height < 10**6:
                assert sample.mask().shape == sample.ignore().shape == (sample.height, sample.width)

    found: Counter[str] = Counter()
    for seed in range(2000):
        gt = world.put("bad.json", spoilt(world.truth, random.Random(seed)))
        found[outcome(read)] += 1
    assert found["fine"] > 100
    assert found["AnnotationError"] > 1000


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_hundreds_of_predictions(world: World, protocol: str) -> None:
    score = partial(evaluate, world.gt, protocols=(protocol,), size=32)
    found: Counter[str] = Counter()
    for seed in range(100):
        rng = random.Random(f"{protocol} {seed}")
        results = world.put("bad.json", spoilt(world.results, rng))
        found[outcome(partial(score, results))] += 1
        lines = [json.dumps(record) for record in world.records]
        place = rng.randrange(len(lines))
        lines[place] = json.dumps(changed_often(world.records[place], rng))
        text = "\n".join(lines).encode()
        stream = world.put("bad.jsonl", damaged(text, rng) if rng.random() < 0.15 else text)
        found[outcome(partial(score, stream))] += 1
    assert found["fine"] > 15
    assert found["AnnotationError"] > 40


DEEP = "[" * 100_000 + "]" * 100_000
NAMED: dict[str, str] = {
    "nothing at all": "",
    "nested 100,000 deep": DEEP,
    "a number that is none": '{"images": NaN, "annotations": [Infinity]}',
    "a number of 5,000 digits": '{"images": ' + "9" * 5000 + ', "annotations": []}',
    "lone surrogates": '{"images": [{"id": "\\ud800", "file_name": "\\udfff", "width": 1, "height": 1}]}',
    "a list": json.dumps(deep(500)),
}


@pytest.mark.parametrize("content", NAMED.values(), ids=NAMED.keys())
def test_named_cases_through_the_command(
    world: World, content: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As ground truth, as results, as records, as prompts: an exit code, one line, and nothing is written."""
    monkeypatch.chdir(world.folder)
    bad, lines = world.put("bad.json", content), world.put("bad.jsonl", content)
    before = sorted(world.folder.rglob("*"))
    for command in (
        ["evaluate", "--gt", str(bad), "--pred", "pred"],
        ["evaluate", "--gt", "gt.json", "--pred", str(bad)],
        ["evaluate", "--gt", "gt.json", "--pred", str(lines)],
        ["segment", "--prompts-from", str(bad), "--predictor", "category-mean", "--fit", "gt.json"],
        ["segment", "--prompts-from", str(lines), "--predictor", "category-mean", "--fit", "gt.json"],
    ):
        assert main([*command, "--quiet"]) in (1, 2, 4)
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("ldznet: error: ")
        assert err.count("\n") == 1
        assert err.strip().isprintable()
    assert sorted(world.folder.rglob("*")) == before


def test_categories_of_null(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are as good as none, in whatever format the masks are written."""
    monkeypatch.chdir(world.folder)
    annotation = {"id": 1, "image_id": 1, "phrase": "red lamp", "segmentation": [[0, 0, 4, 0, 4, 4]]}
    image = next(image for image in world.truth["images"] if image["id"] == 1)
    world.put("null.json", json.dumps({"images": [image], "annotations": [annotation], "categories": None}))
    command = ["segment", "--prompts-from", "null.json", "--predictor", "category-mean", "--fit", "null.json"]
    assert main([*command, "--format", "coco", "--out", "null"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_path_too_long_for_any_file(world: World) -> None:
    """Of a record it is that prediction's failure, not the evaluation's."""
    lines = [json.dumps(record | {"prob": "9" * 5000, "rle": None}) for record in world.records]
    report = evaluate(world.gt, world.put("long.jsonl", "\n".join(lines)), protocols=("native",))
    assert report.predictions.failed == len(lines)
    assert "File name too long" in report.predictions.failures[0]


@pytest.mark.parametrize("name", ["../outside.png", "/etc/passwd", "a/../../x.png", "a\0b.png", "..", ""])
def test_names_that_lead_out_of_the_folder(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(world.folder)
    truth = {**world.truth, "images": [{**world.truth["images"][0], "file_name": name}]}
    truth["annotations"] = [entry for entry in truth["annotations"] if entry["image_id"] == 1]
    world.put("bad.json", json.dumps(truth))
    command = ["segment", "--prompts-from", "bad.json", "--predictor", "category-mean", "--fit", "gt.json"]
    assert main([*command, "--out", "leads-out"]) == 1
    assert "expected a path inside the image folder" in capsys.readouterr().err
    assert not (world.folder / "leads-out").exists()


def test_words_that_a_terminal_would_obey_or_cannot_show(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Names of styles come from others; a table of theirs is text all the same."""
    monkeypatch.chdir(world.folder)
    truth = json.loads(json.dumps(world.truth))
    truth["images"][0]["style"] = "\ud800\x1b[31mred"
    world.put("odd.json", json.dumps(truth))
    lines = world.put("odd.jsonl", "\n".join(json.dumps(record) for record in world.records))
    assert main(["evaluate", "--gt", "odd.json", "--pred", str(lines)]) in (0, 3)
    out = capfd.readouterr().out
    assert "\\ud800\\x1b[31mred" in out
    assert "\x1b" not in out
