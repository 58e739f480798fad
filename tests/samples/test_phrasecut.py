from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ldznet_cli.errors import AnnotationError, LdznetError, UsageError
from ldznet_cli.samples.coco import load_coco
from ldznet_cli.samples.phrase_regions import write_coco
from ldznet_cli.samples.phrasecut import BAD_IMAGES, PhraseCut
from tests.samples.data_sets import BOX, VAL, image, task, write_phrasecut


def convert(source: PhraseCut, out: Path) -> Any:
    return write_coco(out, source, source.description, source.left_out)


def test_every_task_is_a_sample(tmp_path: Path) -> None:
    folder = write_phrasecut(tmp_path / "VGPhraseCut_v0")
    (folder / "images").mkdir()
    source = PhraseCut(folder)
    done = convert(source, folder / "gt.json")
    assert (done.samples, done.annotations, len(done.images), done.without_region) == (5, 6, 3, 1)
    assert done.splits == {"val": 3, "test": 2}
    assert source.left_out == {
        "phrases of images whose annotated size is wrong": 2,
        "images whose annotated size is wrong": 1,
    }
    found = load_coco(folder / "gt.json").samples
    assert [
        (sample.image.name, sample.phrase, sample.category, len(sample.segmentations)) for sample in found
    ] == [
        ("7.jpg", "red lamp", "lamp", 1),
        ("7.jpg", "red lamp", "lamp", 2),
        ("8.jpg", "wide grass", None, 1),
        ("9.jpg", "white dog", "dog", 1),
        ("9.jpg", "cat", "cat", 1),
    ]
    assert [int(sample.mask().sum()) for sample in found] == [9, 14, 9, 9, 0]
    assert found[1].mask("phrasecut")[7, 0], "the evaluator's own masks have truncated corners"
    assert not found[1].mask()[7, 0]
    assert [sample.id for sample in found[:2]] == ["7/red lamp/7__70", "7/red lamp/7__71_72"]
    assert found[0].image.path == folder / "images" / "7.jpg"


def test_a_conversion_is_the_same_bytes_twice(tmp_path: Path) -> None:
    folder = write_phrasecut(tmp_path / "data")
    for name in ("a.json", "b.json"):
        convert(PhraseCut(folder, ["test", "val"]), tmp_path / name)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["info"]["description"] == "PhraseCut, test, val"
    assert content["annotations"][0]["sample_id"] == "9__95"


def test_one_split_needs_only_its_file(tmp_path: Path) -> None:
    folder = write_phrasecut(tmp_path / "data")
    (folder / "refer_val.json").unlink()
    (folder / "image_data_split.json").rename(folder / "image_data_split3000.json")
    assert convert(PhraseCut(folder, ["test"]), tmp_path / "gt.json").splits == {"test": 2}
    assert PhraseCut(folder).splits == ("test",)


def test_the_bad_images() -> None:
    assert len(BAD_IMAGES) == 17


def rewrite(name: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        content = change(json.loads((folder / name).read_text()))
        (folder / name).write_text(json.dumps(content))

    return apply


@pytest.mark.parametrize(
    ("harm", "kind", "message"),
    [
        (
            lambda f: (f / "image_data_split.json").unlink(),
            UsageError,
            "no image_data_split.json in it: expected Phr",
        ),
        (
            lambda f: (f / "refer_val.json").unlink(),
            UsageError,
            "refer_val.json: no such file; in .* there are test",
        ),
        (lambda f: (f / "refer_val.json").write_text('[{"task_id'), AnnotationError, "not JSON in entry 0"),
        (rewrite("refer_val.json", lambda _: [1]), AnnotationError, "task 0 is 1: expected an object"),
        (rewrite("refer_val.json", lambda _: [VAL[0], VAL[0]]), AnnotationError, "'7__70' occurs twice"),
        (
            rewrite("refer_val.json", lambda _: [task(6, [1], "a", [[BOX]])]),
            AnnotationError,
            "image_id 6 is not among",
        ),
        (
            rewrite("refer_val.json", lambda _: [task(7, [1], "a", [BOX])]),
            AnnotationError,
            "expected a list of .x, y. for each polygon",
        ),
        (
            rewrite("refer_val.json", lambda _: [task(7, [1], "a", [[[[1, "x"]]]])]),
            AnnotationError,
            "sample '7__1' of val: a polygon holds something",
        ),
        (
            lambda f: (f / "refer_val.json").write_bytes((f / "refer_input_val.json").read_bytes()),
            AnnotationError,
            "no Polygons: refer_<split>.json is needed",
        ),
        (rewrite("refer_val.json", lambda _: []), LdznetError, "no phrase with a region"),
        (
            rewrite("image_data_split.json", lambda _: [image(7, "val") | {"width": "10"}]),
            AnnotationError,
            "image 0: width is '10': expected a whole number",
        ),
    ],
)
def test_what_is_wrong_is_named(
    harm: Callable[[Path], None], kind: type[LdznetError], message: str, tmp_path: Path
) -> None:
    folder = write_phrasecut(tmp_path / "data")
    harm(folder)
    with pytest.raises(kind, match=message):
        convert(PhraseCut(folder, ["val"]), tmp_path / "gt.json")
    assert not (tmp_path / "gt.json").exists()
    assert not list(tmp_path.glob(".ldznet*"))


def test_an_unknown_split(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no split 'testA': its splits are train, val, test, miniv; in"):
        PhraseCut(write_phrasecut(tmp_path / "data"), ["testA"])
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "image_data_split.json").write_text("[]")
    with pytest.raises(UsageError, match="no refer_<split>.json in it"):
        PhraseCut(tmp_path / "empty")
