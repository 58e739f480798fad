"""COCO results, read back by pycocotools itself."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO

from ldznet_cli.inference.formats import CocoResults
from ldznet_cli.samples.masks import area, box, encode_rle
from ldznet_cli.samples.record import Record, RecordImage

MASK = np.zeros((6, 9), dtype=bool)
MASK[2:5, 1:8] = True
MASK[3, 3:5] = False


def record(name: str, label: str, mask: np.ndarray | None) -> Record:
    if mask is None:
        return Record(RecordImage(name, name), label, label, error="damaged")
    image = RecordImage(f"in/{name}", name, "a" * 64, mask.shape[1], mask.shape[0])
    return Record(image, label, label, score=0.5, area=area(mask), box=box(mask), rle=encode_rle(mask))


def test_pycocotools_opens_them(tmp_path: Path) -> None:
    made = CocoResults({"a.png": 7, "b.png": 8, "c.png": 9}, {"lamp": 3, "tree": 4})
    records = [
        record("a.png", "lamp", MASK),
        record("a.png", "tree", np.zeros_like(MASK)),
        record("b.png", "lamp", ~MASK),
        record("c.png", "lamp", None),
    ]
    made.write(tmp_path, records)
    assert {path.name for path in tmp_path.iterdir()} == set(made.files)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(tmp_path / "coco.index.json"))
        found = truth.loadRes(str(tmp_path / "coco.json"))
    assert sorted(truth.imgs) == [7, 8]
    assert {key: one["name"] for key, one in truth.cats.items()} == {3: "lamp", 4: "tree"}
    lamp, tree, other = found.loadAnns(found.getAnnIds())
    assert np.array_equal(found.annToMask(lamp), MASK)
    assert np.array_equal(found.annToMask(other), ~MASK)
    assert (list(lamp["bbox"]), lamp["score"]) == ([1, 2, 7, 3], 0.5)  # the box is pycocotools' own
    assert (lamp["image_id"], lamp["category_id"]) == (7, 3)
    assert [one["area"] for one in (lamp, tree, other)] == [MASK.sum(), 0, (~MASK).sum()]
    assert found.annToMask(tree).sum() == 0
    assert isinstance(json.loads((tmp_path / "coco.json").read_text())[0]["segmentation"]["counts"], str)


def test_no_records_are_an_empty_list(tmp_path: Path) -> None:
    CocoResults({"a.png": 1}, {"lamp": 1}).write(tmp_path, [])
    assert json.loads((tmp_path / "coco.json").read_text()) == []
    assert json.loads((tmp_path / "coco.index.json").read_text())["images"] == []
