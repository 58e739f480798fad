"""An annotation file that cannot be right, whatever verb reads it: one line, an exit code, and nothing is touched."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ldznet_cli.cli import main
from ldznet_cli.inference import ColourPredictor
from tests.training.world import squares

Gt = dict[str, Any]

VERBS = {
    "segment": ["--prompts-from", "gt.json", "--out", "masks"],
    "cache-features": ["--gt", "gt.json", "--cache", "cache"],
    "train": ["--gt", "gt.json", "--out", "run"],
    "evaluate": ["--gt", "gt.json", "--pred", "masks"],
}


def _unknown_image(gt: Gt) -> None:
    gt["annotations"][0]["image_id"] = 99


def _unknown_category(gt: Gt) -> None:
    gt["annotations"][0]["category_id"] = 99
    del gt["annotations"][0]["phrase"]


def _rle(counts: object) -> Callable[[Gt], None]:
    def damage(gt: Gt) -> None:
        gt["annotations"][0]["segmentation"] = {"size": [64, 64], "counts": counts}

    return damage


def _outside(gt: Gt) -> None:
    gt["images"][0]["file_name"] = "../../secret.png"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with annotated images, and masks made of them."""
    squares(tmp_path, count=2)
    monkeypatch.chdir(tmp_path)
    predictors = importlib.import_module("ldznet_cli.cli.predictors")
    monkeypatch.setattr(predictors, "_net", lambda *_: ColourPredictor())
    assert main(["segment", *VERBS["segment"], "--quiet"]) == 0
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    there = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in there}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_unknown_image, "image_id 99 is not among the images"),
        (_unknown_category, "category_id 99 is not among the categories"),
        (_rle([10, 20]), "RLE counts cover 30 pixels: expected 4096 (64x64)"),
        (_rle("P~~"), "RLE counts hold a character outside '0' to 'o': the string is damaged"),
        (_outside, "file_name is '../../secret.png': expected a path inside the image folder"),
    ],
)
def test_annotations_that_cannot_be_right(
    damage: Callable[[Gt], None],
    message: str,
    verb: str,
    place: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    gt = json.loads(Path("gt.json").read_text())
    damage(gt)
    Path("gt.json").write_text(json.dumps(gt))
    before = contents(place)
    capsys.readouterr()
    assert main([verb, *VERBS[verb]]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("ldznet: error: gt.json: ")
    assert err.count("\n") == 1
    assert message in err
    assert contents(place) == before
