from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ldznet_cli.errors import AnnotationError, LdznetError, UsageError
from ldznet_cli.samples.coco import load_coco
from ldznet_cli.samples.phrase_regions import write_coco
from ldznet_cli.samples.refcoco import RefCoco
from tests.samples.data_sets import REFS, instances, ref, write_refcoco


def convert(source: RefCoco, out: Path) -> Any:
    return write_coco(out, source, source.description, source.left_out)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_every_sentence_is_a_sample(protocol: int, tmp_path: Path) -> None:
    folder = write_refcoco(tmp_path / "refcoco", protocol=protocol)
    done = convert(RefCoco(folder), tmp_path / "gt.json")
    assert (done.samples, done.annotations, len(done.images)) == (8, 8, 3)
    assert done.splits == {"train": 2, "val": 4, "testA": 1, "testB": 1}
    found = load_coco(tmp_path / "gt.json").samples
    assert [(sample.id, sample.category) for sample in found] == [
        ("5/the man/10", "person"),
        ("5/left man/11", "person"),
        ("6/left one/20", "chair"),
        ("6/left one/21", "chair"),
        ("6/café chair/22", "chair"),
        ("6/left one/30", "person"),
        ("7/person/40", "chair"),
        ("7/bag/50", "person"),
    ]
    assert {int(sample.mask().sum()) for sample in found} == {9}
    assert found[0].image.name == "COCO_train2014_000000000005.jpg"


@pytest.mark.parametrize(
    ("splits", "count"),
    [(["train"], 2), (["val", "train"], 6), (["test"], 2), (["testB"], 1), (["test", "testA"], 2)],
)
def test_splits(splits: list[str], count: int, tmp_path: Path) -> None:
    folder = write_refcoco(tmp_path / "refcoco")
    assert convert(RefCoco(folder, splits), tmp_path / "gt.json").samples == count


def test_who_split_it(tmp_path: Path) -> None:
    folder = write_refcoco(tmp_path / "refcocog", "google")
    assert RefCoco(folder).description.startswith("refcocog, refs(google).p: train")
    write_refcoco(folder, "umd")
    assert "refs(umd).p" in RefCoco(folder).description
    assert "refs(google).p" in RefCoco(folder, split_by="google").description
    with pytest.raises(
        UsageError, match=r"refs\(unc\).p: no such file; of its kind there are refs\(google\).p, refs"
    ):
        RefCoco(folder, split_by="unc")


def test_masks_of_a_ref_that_is_run_lengths(tmp_path: Path) -> None:
    folder = write_refcoco(tmp_path / "refcoco")
    content = instances()
    content["annotations"][3] |= {"iscrowd": 1, "segmentation": {"size": [8, 10], "counts": [0, 8, 72]}}
    (folder / "instances.json").write_text(json.dumps(dict(reversed(content.items()))))
    convert(RefCoco(folder, ["val"]), tmp_path / "gt.json")
    (sample,) = [one for one in load_coco(tmp_path / "gt.json").samples if one.id == "6/left one/30"]
    assert sample.mask()[:, 0].all()
    assert sample.mask().sum() == 8


def refs(*entries: Any) -> Callable[[Path], None]:
    return lambda folder: (folder / "refs(unc).p").write_bytes(pickle.dumps(list(entries))) and None


@pytest.mark.parametrize(
    ("harm", "kind", "message"),
    [
        (
            lambda f: (f / "instances.json").unlink(),
            UsageError,
            "instances.json: no such file: expected the folder of",
        ),
        (lambda f: (f / "refs(unc).p").unlink(), UsageError, "of its kind there are none"),
        (lambda f: (f / "refs(unc).p").write_bytes(b"hello"), AnnotationError, "damaged, or not a pickle"),
        (
            lambda f: (f / "refs(unc).p").write_bytes(pickle.dumps({})),
            AnnotationError,
            "a dict: expected a list",
        ),
        (refs(Path("x")), AnnotationError, "it could run code"),
        (refs(1), AnnotationError, "ref 0 is 1: expected an object"),
        (refs(REFS[0] | {"sentences": "x"}), AnnotationError, "ref 0: sentences is 'x': expected a list"),
        (refs(REFS[0] | {"ann_id": [[[]]]}), AnnotationError, "ref 0: ann_id is"),
        (
            refs(ref(1, 555, 5, "val", "a")),
            AnnotationError,
            "1 annotations that the refs name are not in it, .* 555",
        ),
        (refs(ref(1, 100, 6, "val", "a")), AnnotationError, "100 is not about a known image 6"),
        (refs(REFS[0], REFS[0]), AnnotationError, "sample 10 occurs twice"),
        (refs(ref(1, 100, 5, "val", "  ")), LdznetError, "no phrase with a region"),
        (lambda f: (f / "instances.json").write_text("{"), AnnotationError, "not JSON at its start"),
    ],
)
def test_what_is_wrong_is_named(
    harm: Callable[[Path], None], kind: type[LdznetError], message: str, tmp_path: Path
) -> None:
    folder = write_refcoco(tmp_path / "refcoco")
    harm(folder)
    with pytest.raises(kind, match=message):
        convert(RefCoco(folder), tmp_path / "gt.json")
    assert not (tmp_path / "gt.json").exists()


def test_an_unknown_split(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"no split 'testC': there are train \(1 refs\), val \(2 refs\), testA"
    ):
        RefCoco(write_refcoco(tmp_path / "refcoco"), ["testC"])


def test_blank_sentences_are_left_out_and_counted(tmp_path: Path) -> None:
    folder = write_refcoco(tmp_path / "refcoco")
    refs(ref(1, 100, 5, "val", "  ", "man", "\x07boy"))(folder)
    source = RefCoco(folder)
    assert convert(source, tmp_path / "gt.json").samples == 1
    assert source.left_out == {"phrases without words": 1, "phrases with control characters": 1}
