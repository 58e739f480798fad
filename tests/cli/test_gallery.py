"""`ldznet gallery` over folders that `ldznet segment` would have written."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from ldznet_cli.cli import main
from tests.evaluation.world import records, write_records, write_world


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder `out` with a record of each of gt.json's samples; the working folder holds both."""
    monkeypatch.chdir(tmp_path)
    made = records(write_world(tmp_path), Path("out"))
    write_records(Path("out"), made)
    return Path("out")


def data(page: Path) -> Any:
    """What is in the page, as its script sees it."""
    line = next(
        line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("const DATA = ")
    )
    return json.loads(line.removeprefix("const DATA = ").removesuffix(";"))


def test_a_page_of_everything(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gallery", "out"]) == 0
    printed, said = capsys.readouterr()
    assert printed == ""
    assert said.startswith("ldznet: out/gallery.html: 7 of 7 masks of out, 0.")
    shown = data(out / "gallery.html")
    assert [image["name"] for image in shown["images"]] == ["photo_1.png", "cartoon/2.png", "sketch_3.png"]
    assert len(shown["items"]) == 7
    assert all(item["mask"] and item["prob"] and item["iou"] is None for item in shown["items"])
    assert all(image["source"].startswith("data:image/jpeg;base64,") for image in shown["images"])
    assert "://" not in (out / "gallery.html").read_text()


def test_with_a_truth_the_worst_are_kept(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gallery", "out", "--gt", "gt.json", "--out", "all.html"]) == 0
    assert main(["gallery", "out", "--gt", "gt.json", "--out", "page.html", "--limit", "3", "-q"]) == 0
    every = sorted(item["iou"] for item in data(Path("all.html"))["items"])
    assert sorted(item["iou"] for item in data(Path("page.html"))["items"]) == every[:3]
    assert all(item["truth"] for item in data(Path("page.html"))["items"])
    capsys.readouterr()
    assert main(["evaluate", "--gt", "gt.json", "--pred", "out", "--protocol", "native", "--json", "-q"]) == 0
    scores = json.loads(capsys.readouterr().out)["scores"]
    (quoted,) = [
        s["value"] for s in scores if (s["metric"], s["threshold"], s["subset"]) == ("mIoU", "own", "all")
    ]
    assert sum(every) / len(every) == pytest.approx(quoted)


def test_a_folder_that_was_moved(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.move("out", "elsewhere")
    assert main(["gallery", "elsewhere", "-q"]) == 0
    assert all(item["error"] is None for item in data(Path("elsewhere/gallery.html"))["items"])


def test_a_truth_of_something_else(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("other.json").write_text(json.dumps({"images": [], "annotations": []}))
    assert main(["gallery", "out", "--gt", "other.json"]) == 0
    assert "other.json knows none of these images and phrases" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["none"], 2, "none: no such folder: expected one that `ldznet segment` wrote"),
        (["images"], 4, "images/records.jsonl: no records"),
        (["out", "--images", "images"], 2, "--images and --groups belong to --gt"),
        (["out", "--gt", "none.json"], 2, "none.json"),
        (["out", "--limit", "0"], 2, "--limit"),
        (["out", "--out", "images"], 1, "images: cannot be written"),
    ],
)
def test_mistakes(
    arguments: list[str], code: int, message: str, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gallery", *arguments]) == code
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_of_several_records_of_a_mask_the_last_one_counts(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a folder that another run, with other settings, is writing into."""
    path = out / "records.jsonl"
    lines = path.read_text().splitlines()
    stale = [json.dumps(json.loads(line) | {"score": 0.125, "threshold": 0.99}) for line in lines[:2]]
    path.write_text("\n".join([*stale, *lines]) + "\n")
    assert main(["gallery", "out", "--gt", "gt.json"]) == 0
    assert "7 of 7 masks" in capsys.readouterr().err
    assert 0.125 not in {item["score"] for item in data(out / "gallery.html")["items"]}
    said = []
    for content in (path.read_text(), "\n".join(lines) + "\n"):
        path.write_text(content)
        assert main(["evaluate", "--gt", "gt.json", "--pred", "out", "--json"]) == 0
        printed, err = capsys.readouterr()
        said.append(json.loads(printed)["scores"])
        assert "twice" not in err
    assert said[0] == said[1]


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes")
def test_a_folder_whose_name_is_no_text(out: Path) -> None:
    there = os.fsdecode(b"out\xff")
    out.rename(there)
    assert main(["gallery", there, "-q"]) == 0
    assert len(data(Path(there) / "gallery.html")["items"]) == 7
