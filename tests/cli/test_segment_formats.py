"""What `ldznet segment` writes with --format and how masks are shaped. The fake answers."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from ldznet_cli.cli import main
from ldznet_cli.inference import ColourPredictor
from ldznet_cli.reporting.overlay import colour_of
from ldznet_cli.samples.masks import read_mask
from ldznet_cli.samples.record import schema

PREDICTORS = importlib.import_module("ldznet_cli.cli.predictors")
Capture = pytest.CaptureFixture[str]
ALL = "mask,overlay,prob,cutout,labelmap,coco,yolo,labelme"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two pictures: a red ring on white, and one that is half blue."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    ring = Image.new("RGB", (96, 80), "white")
    ring.paste("red", (16, 16, 72, 64))
    ring.paste("white", (32, 32, 56, 48))
    ring.save(tmp_path / "in" / "ring.png")
    half = Image.new("RGB", (80, 60), "white")
    half.paste("blue", (0, 0, 40, 60))
    half.save(tmp_path / "in" / "deep" / "half.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(PREDICTORS, "_net", lambda *_: ColourPredictor())
    return tmp_path


def run(capsys: Capture, *arguments: str, code: int = 0) -> list[Any]:
    assert main(["segment", *arguments]) == code
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for record in records:
        jsonschema.Draft202012Validator(schema()).validate(record)
    return records


def files(out: str = "ldznet-out") -> set[str]:
    return {path.relative_to(out).as_posix() for path in Path(out).rglob("*") if path.is_file()}


BOTH = ("in", "--prompt", "red", "--prompt", "blue=sea")


def test_all_formats_in_one_pass(capsys: Capture) -> None:
    records = run(capsys, *BOTH, "--format", ALL)
    stems = [f"{image}/{label}" for image in ("deep/half", "ring") for label in ("red", "sea")]
    assert files() == {
        *(f"{stem}{end}" for stem in stems for end in (".png", ".overlay.jpg", ".prob.png", ".cutout.png")),
        *(f"{place}.png" for place in ("labelmap/ring", "labelmap/deep/half", "labelmap/legend")),
        *("labelmap/legend.json", "yolo/data.yaml", "yolo/labels/ring.txt", "yolo/labels/deep/half.txt"),
        *("labelme/ring.json", "labelme/deep/half.json", "coco.json", "coco.index.json"),
        *("records.jsonl", "run.json"),
    }
    ring = records[2]
    assert ring["files"] == {
        "cutout": "ldznet-out/ring/red.cutout.png",
        "labelmap": "ldznet-out/labelmap/ring.png",
        "yolo": "ldznet-out/yolo/labels/ring.txt",
        "labelme": "ldznet-out/labelme/ring.json",
    }
    assert all(Path(path).is_file() for path in ring["files"].values())
    assert ring["polygon_iou"] > 0.98
    assert [one["box"] for one in ring["instances"]] == [ring["box"]]
    mask = read_mask(Path(ring["mask"]))
    assert not mask[40, 44]
    shown = np.asarray(Image.open("ldznet-out/ring/red.overlay.jpg"), dtype=float)
    assert np.abs(shown[40, 20:28].mean(0) - (np.array((255, 0, 0)) + colour_of("red")) / 2).max() < 12
    assert np.abs(shown[38:42, 42:46].mean((0, 1)) - 255 * 0.65).max() < 12  # the hole is dimmed
    with contextlib.redirect_stdout(io.StringIO()):
        found = COCO("ldznet-out/coco.index.json").loadRes("ldznet-out/coco.json")
    (result,) = found.loadAnns(found.getAnnIds(imgIds=[2], catIds=[1]))
    assert np.array_equal(found.annToMask(result), mask)
    number = np.asarray(Image.open(ring["files"]["labelmap"]))
    assert set(np.unique(number)) == {0, 1}
    assert np.array_equal(number == 1, mask)


@pytest.mark.parametrize(
    ("chosen", "written"),
    [
        (("--format", "mask"), {"ring/red.png"}),
        (("--format", "cutout", "--format", "mask"), {"ring/red.png", "ring/red.cutout.png"}),
        ((), {"ring/red.png", "ring/red.prob.png", "ring/red.overlay.jpg"}),
        (("--no-overlay",), {"ring/red.png", "ring/red.prob.png"}),
        (("--format", "labelme"), {"labelme/ring.json"}),
        (("--format", "mask", "--name", "{stem}_{label}"), {"ring_red.png"}),
    ],
)
def test_only_what_is_asked_for(chosen: tuple[str, ...], written: set[str], capsys: Capture) -> None:
    (record,) = run(capsys, "in/ring.png", "--prompt", "red", *chosen)
    assert files() - {"records.jsonl", "run.json"} == written
    assert record["area"] > 0
    assert (record["mask"] is None) == ("mask" not in str(chosen) and chosen[:1] == ("--format",))


@pytest.mark.parametrize("name", ["ring.png", "./ring.png", "deep/../ring.png"])
def test_results_go_with_the_annotations_that_they_answer(capsys: Capture, name: str) -> None:
    images = [{"id": 70, "file_name": name, "width": 96, "height": 80}]
    categories = [{"id": 9, "name": "thing", "prompt": "red"}, {"id": 4, "name": "blue"}]
    square = [[16, 16, 72, 16, 72, 64, 16, 64]]
    common = {"image_id": 70, "segmentation": square, "iscrowd": 0, "area": 9, "bbox": [16, 16, 56, 48]}
    annotations = [
        {"id": 1, "category_id": 9, **common},
        {"id": 2, "category_id": 4, **common},
        {"id": 3, "category_id": 4, "phrase": "white", **common},
    ]
    gt = {"images": images, "annotations": annotations, "categories": categories}
    Path("gt.json").write_text(json.dumps(gt))
    run(capsys, "in", "--prompts-from", "gt.json", "--format", "coco")
    results = json.loads(Path("ldznet-out/coco.json").read_text())
    assert [(r["image_id"], r["category_id"], r["phrase"]) for r in results] == [
        (70, 9, "red"),
        (70, 4, "blue"),
        (70, 10, "white"),
    ]


def test_what_is_asked_for_again_is_found_and_what_is_missing_is_made(capsys: Capture) -> None:
    first = run(capsys, *BOTH, "--format", ALL)
    before = {name: Path("ldznet-out", name).read_bytes() for name in files()}
    Path("ldznet-out/labelmap/ring.png").unlink()
    assert run(capsys, *BOTH, "--format", ALL) == first
    assert {name: Path("ldznet-out", name).read_bytes() for name in files()} == before
    main(["segment", *BOTH, "--format", ALL])
    assert "4 of them there already" in capsys.readouterr().err
    main(["segment", *BOTH, "--prompt", "green", "--format", ALL])
    assert "4 results in ldznet-out come from other settings" in capsys.readouterr().err


def test_a_rough_polygon_is_warned_of(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ldznet_cli.inference.answering.kept", lambda *_: 0.5)
    assert main(["segment", "in/ring.png", "--prompt", "red", "--format", "yolo"]) == 0
    err = capsys.readouterr().err
    assert (
        "warning: the polygons of 1 masks keep less than 98% of them (IoU; worst 0.50: ring.png, red)" in err
    )


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--format", "mask,jpeg"], "--format jpeg: expected any of mask,overlay,"),
        (["--name", "{image}"], "put {label} into --name"),
        (["--name", "../{image}/{label}"], "leads out of the output folder"),
        (["--name", "{phrase}"], "known are {image}"),
        (["--pad", "-1"], "--pad"),
        (["--min-score", "2"], "--min-score"),
        (["--max-errors", "0"], "--max-errors"),
    ],
)
def test_what_makes_no_sense(arguments: list[str], reason: str, capsys: Capture) -> None:
    assert main(["segment", *BOTH, *arguments]) == 2
    assert reason in capsys.readouterr().err
    assert not Path("ldznet-out").exists()


def test_masks_for_inpainting(capsys: Capture) -> None:
    def mask(*arguments: str) -> np.ndarray:
        (record,) = run(capsys, "in/ring.png", "--prompt", "red", "--format", "mask", *arguments)
        found = np.asarray(Image.open(record["mask"]))
        assert record["area"] == (found >= 128).sum()
        assert found.shape == (80, 96)
        return found

    plain = mask()
    assert set(np.unique(plain)) == {0, 255}
    assert mask("--fill-holes")[40, 44] == 255 > plain[40, 44]
    assert not mask("--min-area", "5000").any()
    wide = mask("--pad", "4") > 0
    top = int(np.flatnonzero(plain.any(axis=1))[0])
    assert int(np.flatnonzero(wide.any(axis=1))[0]) == top - 4
    assert (mask("--invert") == 255 - plain).all()
    faded = mask("--feather", "3")
    assert ((faded >= 128) == (plain > 0)).all()
    assert len(np.unique(faded)) > 4


def test_an_answer_when_it_is_not_there(capsys: Capture) -> None:
    asked = (*BOTH, "--min-score", "0.5")
    records = run(capsys, *asked)
    assert [(r["image"]["name"], r["label"], r["present"]) for r in records] == [
        ("deep/half.png", "red", False),
        ("deep/half.png", "sea", True),
        ("ring.png", "red", True),
        ("ring.png", "sea", False),
    ]
    gone = records[0]
    assert (gone["area"], gone["box"], gone["instances"], gone["error"]) == (0, None, [], None)
    assert gone["score"] < 0.5
    assert not read_mask(Path(gone["mask"])).any()
    assert not np.asarray(Image.open(gone["prob"])).any()
    assert "present" not in run(capsys, *BOTH)[0]


def test_a_label_map_tells_of_what_is_asked_now(capsys: Capture) -> None:
    """Rows of which one was taken away: the map no longer tells of it, and is made once, not again and again."""

    def asked(*rows: tuple[str, str]) -> set[int]:
        lines = [json.dumps({"image": image, "prompt": prompt}) for image, prompt in rows]
        Path("rows.jsonl").write_text("\n".join(lines))
        run(capsys, "--prompts-from", "rows.jsonl", "--images", "in", "--format", "labelmap,yolo")
        return set(np.unique(np.asarray(Image.open("ldznet-out/labelmap/ring.png"))).tolist())

    both = [("ring.png", "red"), ("ring.png", "white"), ("deep/half.png", "white")]
    assert asked(*both) == {1, 2}
    fewer = [("deep/half.png", "red"), ("ring.png", "white")]
    assert asked(*fewer, ("deep/half.png", "white")) in ({0, 2}, {0, 1})
    yolo = Path("ldznet-out/yolo/labels/ring.txt").read_text()
    assert len({line.split()[0] for line in yolo.splitlines()}) == 1
    before = Path("ldznet-out/labelmap/ring.png").stat().st_mtime_ns
    asked(*fewer, ("deep/half.png", "white"))
    assert Path("ldznet-out/labelmap/ring.png").stat().st_mtime_ns == before
    records = [json.loads(line) for line in Path("ldznet-out/records.jsonl").read_text().splitlines()]
    assert ("ring.png", "red") not in [(r["image"]["name"], r["label"]) for r in records]
