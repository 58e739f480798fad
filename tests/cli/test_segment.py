"""`ldznet segment` as it is typed. What answers is the fake that finds colours, or random nets where it matters."""

from __future__ import annotations

import importlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from PIL import Image

from ldznet_cli.cli import main, models
from ldznet_cli.inference import ColourPredictor, api
from ldznet_cli.samples.masks import encode_rle, read_mask
from ldznet_cli.samples.record import schema
from tests.tiny_clipseg import tiny_clipseg
from tests.tiny_net import tiny_net

PREDICTORS = importlib.import_module("ldznet_cli.cli.predictors")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with two pictures, half red or half blue."""
    for name, colour in (("one.png", "red"), ("deep/two.jpg", "blue")):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.new("RGB", (80, 60), "white")
        image.paste(colour, (0, 0, 40, 60))
        image.save(path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PREDICTORS, "_net", lambda *_: ColourPredictor())


@pytest.fixture
def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output is a terminal (capsys puts its own in place afterwards, so it is asked by name)."""
    monkeypatch.setattr("ldznet_cli.cli.segment_report._on_a_terminal", lambda: True)


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[list[Any], str]:
    """The records on standard output and the talk on standard error."""
    found = main(["segment", *arguments])
    out, err = capsys.readouterr()
    assert found == code, err
    return [json.loads(line) for line in out.splitlines()], err


@pytest.mark.usefixtures("colours")
def test_records_in_a_pipe(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records, err = run(capsys, "in", "--prompt", "red", "--prompt", "blue sky=sky")
    assert [(r["image"]["name"], r["phrase"], r["label"]) for r in records] == [
        ("deep/two.jpg", "red", "red"),
        ("deep/two.jpg", "blue sky", "sky"),
        ("one.png", "red", "red"),
        ("one.png", "blue sky", "sky"),
    ]
    for record in records:
        jsonschema.Draft202012Validator(schema()).validate(record)
        assert Path(record["mask"]).is_file()
        assert Path(record["overlay"]).is_file()
    assert records[0]["mask"] == "ldznet-out/deep/two/red.png"
    assert read_mask(Path(records[2]["mask"])).sum() == records[2]["area"] > 0
    assert "files go to ./ldznet-out" in err
    assert "4 masks of 2 images in ldznet-out" in err


@pytest.mark.usefixtures("colours")
def test_the_second_run_finds_it_all_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, _ = run(capsys, "in", "--prompt", "red", "--out", "masks")
    again, err = run(capsys, "in", "--prompt", "red", "--out", "masks")
    assert again == first
    assert "2 masks of 2 images in masks, 2 of them there already" in err
    assert "files go to" not in err
    _, err = run(capsys, "in", "--prompt", "red", "--out", "masks", "--threshold", "0.9")
    assert "2 results in masks come from other settings" in err
    assert "there already" not in err


@pytest.mark.usefixtures("colours")
def test_results_are_no_input_of_the_next_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for out in ("ldznet-out", "in", "in/masks"):
        first, _ = run(capsys, "in" if out != "ldznet-out" else ".", "--prompt", "red", "--out", out)
        again, _ = run(capsys, "in" if out != "ldznet-out" else ".", "--prompt", "red", "--out", out)
        assert len(first) == len(again) == 2
        shutil.rmtree(folder / "ldznet-out", ignore_errors=True)
        for path in [*folder.glob("in/one"), *folder.glob("in/deep/two"), *folder.glob("in/masks")]:
            shutil.rmtree(path)
        (folder / "in" / "records.jsonl").unlink(missing_ok=True)


@pytest.mark.usefixtures("colours")
def test_results_beside_the_images_are_known_from_anywhere(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those that tell of the run as a whole, and those of other phrases and settings."""
    run(capsys, "in", "--prompt", "red", "--out", "in", "--format", "mask,labelmap,cutout")
    monkeypatch.chdir(folder / "in")
    asked = ("--prompt", "blue", "--threshold", "0.4", "--out", ".")
    for _ in range(2):
        records, _ = run(capsys, ".", *asked)
        assert [record["image"]["name"] for record in records] == ["deep/two.jpg", "one.png"]


@pytest.mark.usefixtures("colours")
def test_no_image_is_written_over(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "in" / "one").mkdir()
    own = Path(shutil.copy("in/one.png", "in/one/red.png")).read_bytes()
    (folder / "link").symlink_to("in")
    for out in ("in", "link"):
        _, err = run(capsys, "in", "--prompt", "red", "--out", out, code=2)
        assert (
            "in/one/red.png is one of the images, and results of in/one.png would be written over it" in err
        )
    assert (folder / "in/one/red.png").read_bytes() == own


@pytest.mark.usefixtures("colours")
def test_phrases_of_an_annotation_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = {"id": 1, "file_name": "one.png", "width": 80, "height": 60}
    ring = [[0, 0, 40, 0, 40, 60, 0, 60]]
    phrases = ["red", "Red", "blue"]
    annotations = [
        {"id": i, "image_id": 1, "phrase": phrase, "segmentation": ring} for i, phrase in enumerate(phrases)
    ]
    Path("gt.json").write_text(json.dumps({"images": [image], "annotations": annotations}))
    records, _ = run(capsys, "--prompts-from", "gt.json", "--images", "in")
    assert [r["phrase"] for r in records] == phrases
    assert len({r["mask"] for r in records}) == 3
    again, _ = run(capsys, "in", "--prompts-from", "gt.json")
    assert again == records
    assert main(["evaluate", "--gt", "gt.json", "--images", "in", "--pred", "ldznet-out", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("colours")
def test_the_options_of_the_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records, _ = run(capsys, "in/one.png", "--prompt", "red", "--no-overlay", "--rle", "--threshold", "0.25")
    (record,) = records
    assert record["overlay"] is None
    assert record["threshold"] == 0.25
    assert record["rle"] == encode_rle(read_mask(Path(record["mask"])))
    assert not list(Path("ldznet-out").rglob("*.jpg"))


@pytest.mark.usefixtures("colours", "at_a_terminal")
def test_a_table_on_a_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["segment", "in", "--prompt", "red"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"one\.png +red +1\.00 +\d+\.\d % +ldznet-out/one/red\.png", out)
    many = [part for number in range(15) for part in ("--prompt", f"red {number}")]
    assert main(["segment", "in", *many]) == 0
    assert re.search(r"red 14 +2 +1 +0\.\d\d", capsys.readouterr().out)
    records, _ = run(capsys, "in", "--prompt", "red", "--jsonl")
    assert len(records) == 2


@pytest.mark.usefixtures("colours")
def test_the_summary_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (summary,), err = run(capsys, "in", "--prompt", "red", "--json", "--quiet")
    assert (summary["images"], summary["masks"], summary["failed"]) == (2, 2, [])
    assert summary["settings"]["threshold"] == 0.5
    assert err == ""


@pytest.mark.usefixtures("colours")
def test_arguments_from_the_settings_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("ldznet.toml").write_text('[segment]\nsources = ["in"]\nprompt = ["red", "blue"]\nout = "there"\n')
    records, _ = run(capsys)
    assert len(records) == 4
    assert records[0]["mask"].startswith("there/")


def test_clipseg_from_a_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_clipseg(folder / "weights")
    capsys.readouterr()
    asked = ("in", "--prompt", "a lamp", "--predictor", "clipseg", "--clipseg", "weights")
    records, err = run(capsys, *asked)
    assert [(r["predictor"], r["model"], r["prompt"]) for r in records] == [
        ("clipseg", "weights", "a lamp")
    ] * 2
    assert records[0]["geometry"] == {"kind": "square", "size": 32, "grid": [32, 32]}
    assert records[0]["threshold"] == 0.3
    assert "miniature" not in err


def test_a_net_of_one_s_own(folder: Path, tiny_ldm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_net(folder / "run", tiny_ldm, "ldznet", threshold=0.4)
    records, err = run(capsys, "in", "--prompt", "lamp", "--model", "run", "--draws", "2", "--seed", "3")
    assert [(r["model"], r["ldm"], r["draws"], r["seed"], r["threshold"]) for r in records] == [
        ("run", "ldm", 2, 3, 0.4)
    ] * 2
    assert records[0]["prompt"] == "a photo of a lamp."
    assert "miniature" not in err
    files = {path: path.read_bytes() for path in Path("ldznet-out").rglob("*.*")}
    run(capsys, "in", "--prompt", "lamp", "--model", "run", "--draws", "2", "--seed", "3", "--overwrite")
    assert {path: path.read_bytes() for path in Path("ldznet-out").rglob("*.*")} == files


def test_without_a_model_the_miniature_answers_and_says_what_it_is(
    folder: Path, tiny_ldm: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "weights").mkdir()
    (folder / "weights" / "ldm").symlink_to(tiny_ldm)
    net = tiny_net(folder / "weights" / "ldznet", tiny_ldm)
    monkeypatch.setattr(api, "BUNDLE", folder / "weights")

    def bundled(name: str | None) -> Path:
        if name is None:
            models.console.say(f"ldznet: {models.MINIATURE_NOTICE}")
        return net

    monkeypatch.setattr(models, "resolve_model", bundled)
    records, err = run(capsys, "in/one.png", "--prompt", "lamp")
    assert [(r["model"], r["ldm"]) for r in records] == [("miniature", "miniature")]
    notice = [line for line in err.splitlines() if "drawn scenes only" in line]
    assert len(notice) == 1
    assert "--predictor clipseg" in notice[0]
    assert "ldznet weights import" in notice[0]
    Path("ldznet.toml").write_text('model = "miniature"\n')
    _, err = run(capsys, "in/one.png", "--prompt", "lamp")
    assert "drawn scenes only" not in err


def test_the_category_s_mean_as_a_floor(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = [{"id": 1, "file_name": "one.png", "width": 80, "height": 60}]
    mask = {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "segmentation": [[0, 0, 39, 0, 39, 59, 0, 59]],
        "iscrowd": 0,
    }
    gt = {"images": images, "annotations": [mask], "categories": [{"id": 1, "name": "red"}]}
    Path("in/gt.json").write_text(json.dumps(gt))
    asked = ("in", "--prompt", "red", "--predictor", "category-mean")
    records, _ = run(capsys, *asked, "--fit", "in/gt.json")
    assert [(r["predictor"], r["model"]) for r in records] == [("category-mean", "gt.json")] * 2
    # One column wider than the mask: any threshold was right on the training square, so the first, 0.02, is taken.
    assert [r["box"] for r in records] == [[0, 0, 41, 60]] * 2
    _, err = run(capsys, *asked, code=2)
    assert "--fit" in err


def test_what_the_ldm_knows_without_training(
    folder: Path, tiny_ldm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("in", "--prompt", "red", "--predictor", "noise-difference", "--ldm", str(tiny_ldm))
    records, err = run(capsys, *asked, "--device", "cpu")
    assert "drawn scenes only" not in err
    assert [(r["predictor"], r["model"], r["draws"]) for r in records] == [
        ("noise-difference", str(tiny_ldm), 4)
    ] * 2
    assert all(Path(r["mask"]).is_file() and r["threshold"] == 0.5 for r in records)
    more, _ = run(capsys, *asked, "--device", "cpu", "--draws", "2")
    assert [r["draws"] for r in more] == [2, 2]
