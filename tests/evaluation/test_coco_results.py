"""A COCO results file as predictions, and what can be wrong with one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from ldznet_cli.errors import AnnotationError, UsageError
from ldznet_cli.evaluation import Report, evaluate
from ldznet_cli.samples.coco import SampleSet, load_coco
from tests.evaluation.world import SAMPLES


def rle(mask: np.ndarray) -> dict[str, Any]:
    """As pycocotools packs it."""
    packed = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": packed["size"], "counts": packed["counts"].decode()}


def results(samples: SampleSet) -> list[dict[str, Any]]:
    """Every instance by itself, moved a pixel."""
    return [
        {
            "image_id": s.image_id,
            "phrase": s.phrase,
            "segmentation": rle(np.roll(part.mask(s.width, s.height), 1, axis=1)),
            "score": 0.7,
        }
        for s in samples.samples
        for part in s.segmentations
    ]


def scored(gt: Path, entries: object, **options: Any) -> Report:
    path = gt.parent / "results.json"
    path.write_text(json.dumps(entries))
    return evaluate(gt, path, protocols=("native",), **options)


def test_instances_are_joined(gt: Path) -> None:
    """The mean IoU is that of the unions, with pycocotools' own IoU (over pixels that count)."""
    samples = load_coco(gt)
    report = scored(gt, results(samples))
    assert report.predictions.scored == report.predictions.hard == SAMPLES
    expected = []
    for sample in samples.samples:
        truth, ignore = sample.mask(), sample.ignore()
        found = np.roll(truth, 1, axis=1) & ~ignore
        pair = [rle(found)], [rle(truth & ~ignore)]
        expected.append(float(coco_mask.iou(*pair, [0])[0, 0]) if (found | truth).any() else 1.0)
    assert report.score("native", "mIoU", "own").value == pytest.approx(np.mean(expected), abs=1e-9)
    assert report.score("native", "AP").value is None


def test_categories_name_phrases_where_nothing_else_does(gt: Path) -> None:
    samples = load_coco(gt)
    grass = next(s for s in samples.samples if s.phrase == "grass")
    entry = {"image_id": grass.image_id, "category_id": 2, "segmentation": rle(grass.mask())}
    report = scored(gt, [entry])
    assert (report.predictions.scored, report.predictions.missing) == (1, SAMPLES - 1)
    assert report.score("native", "mIoU", "own", "category:grass").value == pytest.approx(0.5)


def test_a_file_name_goes_before_an_id(gt: Path) -> None:
    """So that a file with ids of its own fits too."""
    samples = load_coco(gt)
    entries = [{**entry, "image_id": 99} for entry in results(samples)]
    names = {s.image_id: s.image.name for s in samples.samples}
    named = [
        {**entry, "file_name": names[old["image_id"]]}
        for entry, old in zip(entries, results(samples), strict=True)
    ]
    assert scored(gt, named).predictions.scored == SAMPLES
    with pytest.raises(AnnotationError, match="none of 5 predictions fits"):
        scored(gt, entries)


@pytest.mark.parametrize("name", ["2.png", "elsewhere/2.png"])
def test_a_file_name_may_be_told_by_its_end_as_everywhere(gt: Path, name: str) -> None:
    grass = next(s for s in load_coco(gt).samples if s.image.name == "cartoon/2.png" and s.phrase == "grass")
    entry = {"file_name": name, "phrase": "grass", "segmentation": rle(grass.mask())}
    report = scored(gt, [entry])
    assert (report.predictions.scored, report.predictions.ignored) == (1, {})
    assert report.score("native", "Pr@0.9", "own").value == pytest.approx(2 / SAMPLES)  # and the absent one


def test_a_blank_phrase_is_none(gt: Path) -> None:
    grass = next(s for s in load_coco(gt).samples if s.phrase == "grass")
    entry = {"image_id": grass.image_id, "caption": " ", "category_id": 2, "segmentation": rle(grass.mask())}
    assert scored(gt, [entry]).predictions.scored == 1


def test_the_highest_score_is_the_presence(gt: Path) -> None:
    """ "lamp" is absent from the third image: its score has to be below the others'."""
    samples = load_coco(gt)
    entries = [
        {**e, "score": 0.2 if e["image_id"] == 3 and e["phrase"] == "lamp" else 0.9} for e in results(samples)
    ]
    absent = [s for s in samples.samples if s.absent]
    entries += [
        {"image_id": s.image_id, "phrase": s.phrase, "segmentation": rle(s.mask()), "score": 0.95}
        for s in absent
    ]
    report = scored(gt, entries)
    assert report.score("native", "presence_AUROC").value == 0.0
    entries[-1]["score"] = 0.1
    entries[-2]["score"] = 0.1
    assert (scored(gt, entries).score("native", "presence_AUROC").value or 0) > 0.5


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"annotations": []}, "expected COCO results"),
        ([1], "result 0 is 1: expected an object"),
        (
            [{"image_id": 1, "category_id": 7, "segmentation": []}],
            "category_id 7 is not among the categories",
        ),
        ([{"image_id": 1, "category_id": 2}], "result 0: segmentation is missing"),
        ([{"image_id": 1, "category_id": 2, "segmentation": {"size": [1, 1], "counts": "0"}}], "RLE size is"),
        ([{"category_id": 2, "segmentation": []}], "result 0: image_id is missing"),
        ([{"image_id": 1, "category_id": 2, "segmentation": [], "score": "x"}], "score is 'x'"),
    ],
)
def test_what_is_wrong_is_said(gt: Path, entries: object, message: str) -> None:
    with pytest.raises(AnnotationError, match=message) as caught:
        scored(gt, entries)
    assert "results.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_score_beyond_1_fails_that_prediction(gt: Path) -> None:
    entries = results(load_coco(gt))
    entries[0]["score"] = 7.5
    assert "the score is 7.5" in scored(gt, entries).predictions.failures[0]


def test_files_that_cannot_be_read(gt: Path) -> None:
    path = gt.parent / "cut.json"
    path.write_text('[{"image_id": 1')
    with pytest.raises(AnnotationError, match=r"cut\.json: not JSON"):
        evaluate(gt, path)
    with pytest.raises(UsageError, match="does not exist"):
        evaluate(gt, gt.parent / "nowhere.json")
