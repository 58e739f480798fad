from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ldznet_cli.errors import AnnotationError
from ldznet_cli.samples.coco import load_coco
from ldznet_cli.samples.coco_file import image_ref

GOOD: dict[str, Any] = {
    "images": [{"id": 1, "file_name": "a.png", "width": 4, "height": 3}],
    "categories": [{"id": 5, "name": "lamp"}],
    "annotations": [{"id": 17, "image_id": 1, "category_id": 5, "segmentation": [[0, 0, 2, 0, 2, 2]]}],
}


def changed(part: str, **fields: Any) -> dict[str, Any]:
    """The good file with fields of the only entry of one list replaced; None takes a field away."""
    entry = {key: value for key, value in (GOOD[part][0] | fields).items() if value is not None}
    return GOOD | {part: [entry]}


def doubled(part: str) -> dict[str, Any]:
    return GOOD | {part: GOOD[part] * 2}


def rle(counts: Any, size: Any = (3, 4)) -> dict[str, Any]:
    return changed("annotations", segmentation={"size": size, "counts": counts})


WRONG = [
    ([], "is []: expected an object"),
    (GOOD | {"images": None}, "images is missing"),
    (GOOD | {"annotations": 3}, "annotations is 3: expected a list"),
    (GOOD | {"annotations": ["x"]}, "annotations[0] is 'x': expected an object"),
    (doubled("images"), "image 1 occurs twice"),
    (doubled("annotations"), "annotation 17 occurs twice"),
    (doubled("categories"), "category 5 occurs twice"),
    (changed("images", file_name=None), "image 1: file_name is missing"),
    (changed("images", width="4"), "image 1: width is '4': expected a whole number"),
    (changed("images", width=0), "image 1: 0x3 pixels"),
    (changed("images", width=10**9, height=10**9), "image 1: 1000000000x1000000000 pixels"),
    (changed("images", id=None), "image at position 0: id is missing"),
    (changed("images", id=1.5), "image 1.5: id is 1.5: expected a whole number or a string"),
    (changed("images", file_name="../a.png"), "image 1: file_name is '../a.png': expected a path inside"),
    (changed("categories", name=None), "category 5: name is missing"),
    (changed("annotations", id=None), "annotation at position 0: id is missing"),
    (changed("annotations", image_id=99), "annotation 17: image_id 99 is not among the images"),
    (changed("annotations", category_id=99), "annotation 17: category_id 99 is not among the categories"),
    (changed("annotations", category_id=None), "annotation 17: no phrase: expected caption, phrase"),
    (changed("annotations", iscrowd="no"), "annotation 17: iscrowd is 'no': expected 0 or 1"),
    (changed("annotations", phrase=["lamp"]), "annotation 17: phrase is ['lamp']: expected a string"),
    (changed("annotations", phrase="a\0b"), "annotation 17: phrase: the phrase 'a\\x00b' holds"),
    (changed("annotations", segmentation=None), "annotation 17: segmentation is missing"),
    (changed("annotations", segmentation="x"), "annotation 17: segmentation is 'x'"),
    (
        changed("annotations", segmentation=[0, 0, 2, 0, 2, 2]),
        "annotation 17: a polygon is 0: expected a list",
    ),
    (changed("annotations", segmentation=[[0, 0, 2]]), "annotation 17: a polygon is 3 numbers"),
    (changed("annotations", segmentation=[[]]), "annotation 17: a polygon is 0 numbers"),
    (changed("annotations", segmentation=[[0, "1"]]), "annotation 17: a polygon holds something"),
    (changed("annotations", segmentation=[[0, float("nan")]]), "annotation 17: a polygon holds something"),
    (changed("annotations", segmentation=[[0, 10**400]]), "annotation 17: a polygon holds something"),
    (rle("04"), "annotation 17: RLE counts cover 4 pixels: expected 12 (3x4)"),
    (rle("~~"), "annotation 17: RLE counts hold a character outside"),
    (rle([12, 1]), "annotation 17: RLE counts cover 13 pixels"),
    (rle([12], (4, 3)), "annotation 17: RLE size is [4, 3]: expected the image's [height, width], [3, 4]"),
    (rle(None), "annotation 17: segmentation: counts is None"),
    (rle([12], None), "annotation 17: segmentation: size is missing"),
]


@pytest.mark.parametrize(("content", "message"), WRONG)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, content: Any, message: str) -> None:
    gt = tmp_path / "gt.json"
    gt.write_text(json.dumps(content))
    with pytest.raises(AnnotationError) as caught:
        load_coco(gt)
    text = str(caught.value)
    assert text.startswith(f"{gt}")
    assert message in text
    assert text.isprintable()
    assert len(text) < 400


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"not json", b'{"images": [}'])
def test_not_json(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "gt.json").write_bytes(content)
    with pytest.raises(AnnotationError, match="not JSON"):
        load_coco(tmp_path / "gt.json")


def test_a_byte_order_mark_is_no_harm(tmp_path: Path) -> None:
    (tmp_path / "gt.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode())
    assert len(load_coco(tmp_path / "gt.json").samples) == 1


@pytest.mark.parametrize(
    "name", ["../x.png", "/etc/passwd", "a/../../x.png", "..", ".", "", "a\0.png", "a/.."]
)
def test_file_names_stay_inside(name: str) -> None:
    with pytest.raises(AnnotationError, match="expected a path inside the image folder"):
        image_ref(name, Path("images"))


@pytest.mark.parametrize("name", ["x.png", "..x.png", "a/..b/x.png", "a b\u202fc.png", "a/../x.png"])
def test_odd_names_that_do_stay_inside(name: str) -> None:
    ref = image_ref(name, Path("images"))
    assert ref.path.is_relative_to("images")
    assert ".." not in ref.path.parts
