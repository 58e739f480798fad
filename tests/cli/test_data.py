"""`ldznet data convert` as it is used, and what `evaluate` makes of its file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ldznet_cli.cli import main
from tests.samples.data_sets import write_phrasecut, write_refcoco


def test_phrasecut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = write_phrasecut(tmp_path / "VGPhraseCut_v0"), tmp_path / "gt.json"
    assert main(["data", "convert", "phrasecut", str(folder), "--out", str(out)]) == 0
    printed, said = capsys.readouterr()
    assert printed == ""
    assert (
        f"{out}: 5 phrases (3 val, 2 test) about 3 images, 6 annotations, 3 categories; from PhraseCut"
        in said
    )
    assert "left out: 2 phrases of images whose annotated size is wrong" in said
    assert "warning: 1 phrases have no region" in said
    assert main(["data", "convert", "phrasecut", str(folder), "--out", str(out), "--split", "val", "-q"]) == 0
    assert capsys.readouterr().err == ""


def test_refcoco_scores_every_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One prediction for the words "left one" answers for three sentences about two objects."""
    folder, out, masks = write_refcoco(tmp_path / "refcoco"), tmp_path / "gt.json", tmp_path / "masks"
    assert main(["data", "convert", "refcoco", str(folder), "--split", "val", "--out", str(out)]) == 0
    mask = np.zeros((8, 10), dtype=np.uint8)
    mask[1:3, 1:3] = 255  # as pycocotools draws the square from 1 to 3
    place = masks / "COCO_train2014_000000000006"
    place.mkdir(parents=True)
    for phrase in ("left one", "café chair"):
        Image.fromarray(mask).save(place / f"{phrase}.png")
    capsys.readouterr()
    asked = ["evaluate", "--gt", str(out), "--pred", str(masks), "--protocol", "refcoco", "--json"]
    assert main(asked) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["ground_truth"]["samples"], report["predictions"]["missing"]) == (4, 0)
    assert {score["value"] for score in report["scores"] if score["subset"] == "all"} == {1.0}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["phrasecut", "none", "--out", "gt.json"], 2, "none: no such folder"),
        (["phrasecut", "data"], 2, "name it with --out gt.json"),
        (["coco", "data", "--out", "gt.json"], 2, "phrasecut"),
        (["phrasecut", "data", "--out", "gt.json"], 2, "no image_data_split.json"),
        (["phrasecut", "data", "--out", "gt.json", "--split-by", "unc"], 2, "--split-by belongs to refcoco"),
        (["refcoco", "data", "--out", "gt.json", "--split-by", "me"], 2, "refs(me).p: no such file"),
        (["refcoco", "data", "--out", "gt.json", "--split", "x"], 2, "no split 'x'"),
        (["refcoco", "data", "--out", "data"], 1, "data: cannot be written"),
        (["refcoco", "data", "--out", "data/refs(unc).p"], 2, "is a file of the data set, which is read"),
        (["refcoco", "data", "--out", "data/../data/instances.json"], 2, "is a file of the data set"),
    ],
)
def test_mistakes(
    arguments: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_refcoco(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    assert main(["data", "convert", *arguments]) == code
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not Path("gt.json").exists()


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data"]) == 0
    assert "convert" in capsys.readouterr().out
