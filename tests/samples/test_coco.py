from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ldznet_cli.errors import AnnotationError, UsageError
from ldznet_cli.samples.coco import SampleSet, load_coco
from ldznet_cli.samples.masks import encode_rle

SQUARE = [[0, 0, 1, 0, 1, 1, 0, 1]]
LINE = [[0, 3, 3, 3, 3, 3.5, 0, 3.5]]


def image(number: int = 1, **other: Any) -> dict[str, Any]:
    return {"id": number, "file_name": f"{number}.png", "width": 4, "height": 4} | other


def category(number: int, name: str, **other: Any) -> dict[str, Any]:
    return {"id": number, "name": name} | other


def annotation(number: int, **other: Any) -> dict[str, Any]:
    return {"id": number, "image_id": 1, "category_id": 1, "segmentation": SQUARE} | other


def write(folder: Path, annotations: list[Any], categories: list[Any] | None = None, **other: Any) -> Path:
    content = {
        "images": [image()],
        "annotations": annotations,
        "categories": [category(1, "lamp")] if categories is None else categories,
    }
    path = folder / "gt.json"
    path.write_text(json.dumps(content | other))
    return path


def phrases(found: SampleSet) -> list[str]:
    return [sample.phrase for sample in found.samples]


def test_the_union_of_a_phrase_is_one_sample(tmp_path: Path) -> None:
    gt = write(tmp_path, [annotation(1), annotation(2, segmentation=LINE)])
    found = load_coco(gt)
    (sample,) = found.samples
    assert (sample.id, sample.phrase, sample.category, sample.image_id) == ("1/lamp", "lamp", "lamp", 1)
    assert sample.mask().astype(int).tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]]
    assert [part.mask(4, 4).sum() for part in sample.segmentations] == [4, 4]
    assert not sample.ignore().any()
    assert not sample.absent
    assert found.digest == hashlib.sha256(gt.read_bytes()).hexdigest()
    assert (found.annotations, found.crowd_regions, found.path) == (2, 0, gt)


def test_sample_ids_keep_apart_what_the_same_words_are_said_of(tmp_path: Path) -> None:
    annotations = [
        annotation(1, phrase="left one", sample_id="a"),
        annotation(2, phrase="left one", sample_id=7, segmentation=LINE),
        annotation(3, phrase="left one", sample_id="a", segmentation=LINE),
        annotation(4, phrase="left one"),
    ]
    gt = write(tmp_path, annotations)
    found = load_coco(gt)
    assert [(sample.id, len(sample.segmentations)) for sample in found.samples] == [
        ("1/left one/a", 2),
        ("1/left one/7", 1),
        ("1/left one", 1),
    ]
    assert [sample.mask().sum() for sample in found.samples] == [8, 4, 4]
    assert len(load_coco(gt, per_annotation=True).samples) == 4
    with pytest.raises(AnnotationError, match="sample_id is"):
        load_coco(write(tmp_path, [annotation(1, sample_id=[1])]))


def test_per_annotation(tmp_path: Path) -> None:
    found = load_coco(write(tmp_path, [annotation(7), annotation(8, segmentation=LINE)]), per_annotation=True)
    assert [sample.id for sample in found.samples] == ["1/lamp/7", "1/lamp/8"]
    assert [sample.mask().sum() for sample in found.samples] == [4, 4]


@pytest.mark.parametrize(
    ("fields", "phrase"),
    [
        ({"caption": "a", "phrase": "b", "sentence": "c", "prompt": "d"}, "a"),
        ({"phrase": "b", "sentence": "c", "prompt": "d"}, "b"),
        ({"sentence": "c", "prompt": "d"}, "c"),
        ({"prompt": " d\n d "}, "d d"),
        ({"caption": "  ", "phrase": None, "prompt": "d"}, "d"),
        ({}, "of the category"),
    ],
)
def test_where_the_phrase_comes_from(tmp_path: Path, fields: dict[str, Any], phrase: str) -> None:
    named = category(1, "n", prompt="of the category")
    assert phrases(load_coco(write(tmp_path, [annotation(1, **fields)], [named]))) == [phrase]


def test_a_category_without_prompt_goes_by_its_name(tmp_path: Path) -> None:
    assert phrases(load_coco(write(tmp_path, [annotation(1)], [category(1, "n", prompt=None)]))) == ["n"]


def test_no_category_is_needed_beside_a_phrase(tmp_path: Path) -> None:
    gt = write(tmp_path, [annotation(1, category_id=None, phrase="red lamp")], [])
    (sample,) = load_coco(gt).samples
    assert (sample.phrase, sample.category, sample.kind) == ("red lamp", None, None)


def test_categories_of_one_phrase_are_one_sample(tmp_path: Path) -> None:
    categories = [category(1, "wall-brick", prompt="wall"), category(2, "wall-wood", prompt="wall")]
    (sample,) = load_coco(write(tmp_path, [annotation(1), annotation(2, category_id=2)], categories)).samples
    assert (sample.phrase, sample.category) == ("wall", None)
    assert len(sample.segmentations) == 2


def test_groups_replace_categories(tmp_path: Path) -> None:
    categories = [category(1, "dog"), category(2, "cat"), category(3, "car"), category(4, "sofa")]
    gt = write(tmp_path, [annotation(n, category_id=n) for n in (1, 2, 3, 4)], categories)
    groups = tmp_path / "groups.json"
    groups.write_text(json.dumps({"animal": [1, 2], "pet": [2], "sofa": [3]}))
    found = load_coco(gt, groups=groups)
    assert phrases(found) == ["animal", "pet", "sofa"]
    assert [len(sample.segmentations) for sample in found.samples] == [2, 1, 2]
    assert found.groups_digest == hashlib.sha256(groups.read_bytes()).hexdigest()
    own = write(tmp_path, [annotation(1, phrase="my dog")], categories)
    assert phrases(load_coco(own, groups=groups)) == ["my dog"]


@pytest.mark.parametrize("groups", [{"a": [9]}, {"a": 1}, {" ": [1]}, {"a": [True]}, []])
def test_broken_groups(tmp_path: Path, groups: Any) -> None:
    (tmp_path / "groups.json").write_text(json.dumps(groups))
    with pytest.raises(AnnotationError, match=r"groups\.json(:| is)"):
        load_coco(write(tmp_path, [annotation(1)]), groups=tmp_path / "groups.json")


def test_images_in_order_and_those_without_a_sample(tmp_path: Path) -> None:
    gt = write(
        tmp_path,
        [
            annotation(1, image_id=3, phrase="b"),
            annotation(2, image_id="x"),
            annotation(3, image_id=3, phrase="a"),
        ],
        images=[image(2), image("x"), image(3)],  # type: ignore[arg-type]
    )
    found = load_coco(gt)
    assert [(s.image.name, s.phrase) for s in found.samples] == [
        ("x.png", "lamp"),
        ("3.png", "b"),
        ("3.png", "a"),
    ]
    assert [ref.name for ref in found.images] == ["2.png", "x.png", "3.png"]
    assert [(ref.name, len(own)) for ref, own in found.by_image().items()] == [("x.png", 1), ("3.png", 2)]


def test_ignored_regions_do_not_count_for_their_phrase(tmp_path: Path) -> None:
    rle = {"size": [4, 4], "counts": [0, 4, 12]}
    crowd = annotation(2, iscrowd=1, segmentation=rle)
    alone = annotation(3, category_id=2, ignore=True)
    other = annotation(4, category_id=3)
    categories = [category(n, name) for n, name in ((1, "lamp"), (2, "dog"), (3, "cat"))]
    gt = write(tmp_path, [annotation(1), crowd, alone, other], categories)
    for per_annotation in (False, True):
        found = load_coco(gt, per_annotation=per_annotation)
        lamp, cat = found.samples
        assert lamp.ignore().sum() == 4
        assert lamp.mask().sum() == 4
        assert not cat.ignore().any()
        ignored = sum(int(sample.ignore().sum()) for sample in found.samples if sample.ignored)
        assert (found.crowd_regions, ignored) == (2, 4)
        assert list(found.crowd_only.values()) == [("dog",)]


def test_a_crowd_of_no_sample_in_particular_concerns_all_of_its_phrase(tmp_path: Path) -> None:
    rle = {"size": [4, 4], "counts": [0, 4, 12]}
    crowd = annotation(1, iscrowd=1, segmentation=rle)
    one, other = (annotation(n, sample_id=name) for n, name in ((2, "one"), (3, "other")))
    found = load_coco(write(tmp_path, [crowd, one, other]))
    assert [sample.ignore().sum() for sample in found.samples] == [4, 4]
    assert not found.crowd_only


def test_an_ignored_region_without_phrase_concerns_all(tmp_path: Path) -> None:
    void = {"id": 9, "image_id": 1, "ignore": 1, "segmentation": LINE}
    gt = write(tmp_path, [void, annotation(1), annotation(2, phrase="dog")])
    assert [sample.ignore().sum() for sample in load_coco(gt).samples] == [4, 4]


def test_an_empty_segmentation_says_absent(tmp_path: Path) -> None:
    empty = encode_rle(np.zeros((4, 4), dtype=bool))
    gt = write(
        tmp_path,
        [annotation(1, phrase="dog", segmentation=[]), annotation(2, phrase="cat", segmentation=empty)],
    )
    for sample in load_coco(gt).samples:
        assert sample.absent
        assert not sample.mask().any()


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"isthing": 1}, "thing"),
        ({"isthing": 0, "supercategory": "object"}, "stuff"),
        ({"supercategory": "stuff"}, "stuff"),
        ({"supercategory": "object"}, "thing"),
        ({"supercategory": "animal"}, None),
        ({"supercategory": 3}, None),
        ({}, None),
    ],
)
def test_things_and_stuff(tmp_path: Path, fields: dict[str, Any], kind: str | None) -> None:
    assert load_coco(write(tmp_path, [annotation(1)], [category(1, "x", **fields)])).samples[0].kind == kind


@pytest.mark.parametrize(
    ("own", "info", "style"),
    [
        ({"style": "pixel-art"}, {"style": "photo"}, "pixel-art"),
        ({"file_name": "sketch_1.png"}, {"style": "photo"}, "photo"),
        ({"file_name": "sketch_1.png"}, {}, "sketch"),
        ({"file_name": "cartoon/1.png"}, {}, "cartoon"),
        ({"file_name": "photographs.png"}, {}, None),
    ],
)
def test_styles(tmp_path: Path, own: dict[str, Any], info: dict[str, Any], style: str | None) -> None:
    gt = write(tmp_path, [annotation(1)], images=[image(**own)], info=info)
    assert load_coco(gt).samples[0].style == style


def test_where_images_are_looked_for(tmp_path: Path) -> None:
    gt = write(tmp_path, [annotation(1)])
    assert load_coco(gt).samples[0].image.path == tmp_path / "1.png"
    (tmp_path / "images").mkdir()
    assert load_coco(gt).samples[0].image.path == tmp_path / "images" / "1.png"
    (tmp_path / "other").mkdir()
    assert load_coco(gt, images=tmp_path / "other").images[0].path.parent == tmp_path / "other"
    with pytest.raises(UsageError, match="no such folder"):
        load_coco(gt, images=tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"nowhere\.json: cannot be read"):
        load_coco(tmp_path / "nowhere.json")


def test_names_are_made_plain(tmp_path: Path) -> None:
    gt = write(tmp_path, [annotation(1)], images=[image(file_name="./a/../b//c.png")])
    ref = load_coco(gt).samples[0].image
    assert (ref.name, ref.path) == ("b/c.png", tmp_path / "b" / "c.png")


REAL = [
    ("coco-panoptic", 656, 1105),
    ("coco-instances", 1311, 3193),
    ("codraw-clipart", 1684, 1684),
    ("avatars-cartoon", 765, 765),
]


@pytest.mark.parametrize(("name", "samples", "instances"), REAL)
def test_real_data(shared: Path, name: str, samples: int, instances: int) -> None:
    from pycocotools import mask as reference

    gt = shared / "data" / name / "annotations.json"
    content = json.loads(gt.read_text())
    found = load_coco(gt)
    assert len(found.samples) == samples
    assert len(load_coco(gt, per_annotation=True).samples) == instances
    assert len(found.images) == len(content["images"])
    assert all(ref.path.is_file() for ref in found.images)
    by_category = {entry["id"]: entry["prompt"] for entry in content["categories"]}
    for sample in found.samples[:: samples // 20]:
        own = [
            entry["segmentation"]
            for entry in content["annotations"]
            if (entry["image_id"], by_category[entry["category_id"]]) == (sample.image_id, sample.phrase)
            and not entry["iscrowd"]
        ]
        if all(isinstance(part, dict) for part in own):
            expected = np.any([reference.decode(part) for part in own], axis=0)
            np.testing.assert_array_equal(sample.mask(), expected)
        else:  # pycocotools fills polygons by another convention, which differs at their borders
            rings = [reference.frPyObjects(part, sample.height, sample.width) for part in own]
            expected = np.any([reference.decode(reference.merge(ring)) for ring in rings], axis=0)
            border = sum(len(ring) for part in own for ring in part) + 4 * np.sqrt(expected.sum() * len(own))
            assert (sample.mask() ^ expected).sum() < max(40, border)


@pytest.mark.parametrize("name", ["coco-panoptic", "codraw-clipart", "avatars-cartoon"])
def test_real_groups(shared: Path, name: str) -> None:
    folder = shared / "data" / name
    groups = json.loads((folder / "groups.json").read_text())
    found = load_coco(folder / "annotations.json", groups=folder / "groups.json")
    content = json.loads((folder / "annotations.json").read_text())
    prompts = {entry["id"]: entry["prompt"] for entry in content["categories"]}
    grouped = {number for members in groups.values() for number in members}
    possible = set(groups) | {prompt for number, prompt in prompts.items() if number not in grouped}
    assert {sample.phrase for sample in found.samples} <= possible
    pairs = {(s.image_id, s.phrase) for s in found.samples}
    for entry in content["annotations"]:
        for phrase, members in groups.items():
            if entry["category_id"] in members and not entry["iscrowd"]:
                assert (entry["image_id"], phrase) in pairs


@pytest.mark.parametrize(("name", "styles"), [("aigi", {"cartoon", "sketch"}), ("photos", {"photo"})])
def test_the_sample_data(name: str, styles: set[str]) -> None:
    found = load_coco(Path(__file__).resolve().parents[2] / "sample_data" / f"{name}.json")
    assert {sample.style for sample in found.samples} == styles
    assert {sample.kind for sample in found.samples} == {"thing", "stuff"}
    assert all(ref.path.is_file() for ref in found.images)
    assert all(sample.mask().any() != sample.absent for sample in found.samples)
