"""Scenes on disk: COCO-style, whole, the same whatever wrote them."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from ldznet_cli.errors import DiskFull, LdznetError, UsageError
from ldznet_cli.miniature.sample_data import MADE_WITH, PER_STYLE, SEED, write_sample_data
from ldznet_cli.miniature.scenes import (
    BACKDROPS,
    GROUNDS,
    OBJECTS,
    absent_phrases,
    phrases,
    render,
    scene_seed,
    write_dataset,
)
from ldznet_cli.miniature.scenes.dataset import names
from ldznet_cli.samples.coco import load_coco

SAMPLES = Path(__file__).resolve().parents[2] / "sample_data"


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def test_a_set_holds_the_scenes_and_one_annotation_for_each_phrase(tmp_path: Path) -> None:
    records = list(write_dataset(tmp_path, "cartoon", 5, 7, workers=1))
    content = read(tmp_path / "annotations.json")
    assert content["info"] | {"renderer_version": 1, "style": "cartoon", "seed": 7} == content["info"]
    assert [image["file_name"] for image in content["images"]] == [f"cartoon-7-{i:06d}.png" for i in range(5)]
    assert [record.file_name for record in records] == [image["file_name"] for image in content["images"]]
    categories = {category["id"]: category for category in content["categories"]}
    assert [c["name"] for c in categories.values()] == [*OBJECTS, *GROUNDS, *BACKDROPS]
    for index, image in enumerate(content["images"]):
        scene = render("cartoon", scene_seed(7, index))
        with Image.open(tmp_path / "images" / image["file_name"]) as file:
            np.testing.assert_array_equal(np.asarray(file), scene.image)
        found = [a for a in content["annotations"] if a["image_id"] == image["id"]]
        assert [a["phrase"] for a in found] == [phrase.text for phrase in phrases(scene)]
        for annotation, phrase in zip(found, phrases(scene), strict=True):
            assert isinstance(annotation["segmentation"]["counts"], str)
            np.testing.assert_array_equal(
                coco_mask.decode(annotation["segmentation"]).astype(bool), phrase.mask
            )
            assert annotation["area"] == phrase.mask.sum()
            rows, columns = np.nonzero(phrase.mask)
            x, y = columns.min(), rows.min()
            assert annotation["bbox"] == [x, y, columns.max() - x + 1, rows.max() - y + 1]
            category = categories[annotation["category_id"]]
            assert category["supercategory"] == phrase.kind
            assert category["name"] in phrase.text
            assert annotation["iscrowd"] == 0
    assert [a["id"] for a in content["annotations"]] == list(range(1, len(content["annotations"]) + 1))


@pytest.mark.parametrize(
    ("phrase", "name", "expected"),
    [
        ("red cat", "cat", True),
        ("car", "cat", False),
        ("carpet", "car", False),
        ("cat on the left", "cat", True),
        ("night sky", "sky", False),
        ("night sky", "night sky", True),
        ("wooden floor", "wooden wall", False),
    ],
)
def test_which_category_a_phrase_belongs_to(phrase: str, name: str, expected: bool) -> None:
    assert names(phrase, name) is expected


def test_processes_write_the_same_files(tmp_path: Path) -> None:
    one = list(write_dataset(tmp_path / "one", "sketch", 6, 3, workers=1))
    two = list(write_dataset(tmp_path / "two", "sketch", 6, 3, workers=2))
    assert one == two
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_sets_of_two_seeds_share_no_image(tmp_path: Path) -> None:
    for seed in (0, 1):
        list(write_dataset(tmp_path / str(seed), "photo", 12, seed, workers=1))
    digests = [
        {hashlib.sha256(image.read_bytes()).hexdigest() for image in (tmp_path / seed / "images").iterdir()}
        for seed in "01"
    ]
    assert (len(digests[0]), len(digests[1]), len(digests[0] & digests[1])) == (12, 12, 0)


def test_the_annotation_file_comes_last(tmp_path: Path) -> None:
    written = write_dataset(tmp_path, "photo", 3, 0, workers=1)
    next(written)
    next(written)
    assert len(list((tmp_path / "images").iterdir())) == 2
    assert not (tmp_path / "annotations.json").exists()
    written.close()
    assert not (tmp_path / "annotations.json").exists()
    assert not [name for name in tree(tmp_path) if "/." in name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("oil", 3, 0, 1), "unknown style 'oil'"),
        (("photo", 0, 0, 1), "at least 1"),
        (("photo", 3, 0, 0), "at least 1"),
        (("photo", 3, -2, 1), "at least 0"),
    ],
)
def test_wrong_arguments_are_told_before_anything_is_written(
    tmp_path: Path, arguments: tuple[str, int, int, int], message: str
) -> None:
    style, count, seed, workers = arguments
    with pytest.raises(UsageError, match=message):
        write_dataset(tmp_path / "out", style, count, seed, workers=workers)
    assert not (tmp_path / "out").exists()


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(LdznetError, match="cannot be written"):
        list(write_dataset(tmp_path / "out", "photo", 1, 0, workers=1))


def test_a_full_disk_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFull, match="no space left to write"):
        list(write_dataset(tmp_path, "photo", 1, 0, workers=1))
    assert tree(tmp_path) == {}


def test_sample_data_is_what_its_checksums_say() -> None:
    lines = [line.split("  ") for line in (SAMPLES / "SHA256SUMS").read_text().splitlines()]
    assert {name for _, name in lines} == set(tree(SAMPLES)) - {"SHA256SUMS"}
    for digest, name in lines:
        assert hashlib.sha256((SAMPLES / name).read_bytes()).hexdigest() == digest, name


def test_sample_data_can_be_made_again(tmp_path: Path) -> None:
    """Byte for byte with the versions that made it; with others, the same pictures but for a few edge pixels."""
    assert len(write_sample_data(tmp_path)) == 3 * PER_STYLE
    made, kept = tree(tmp_path), tree(SAMPLES)
    assert set(made) == set(kept)
    if all(version(name) == wanted for name, wanted in MADE_WITH.items()):
        assert [name for name in kept if kept[name] != made[name]] == []
    for name in (name for name in kept if name.endswith(".png")):
        with Image.open(SAMPLES / name) as old, Image.open(tmp_path / name) as new:
            difference = np.abs(np.asarray(old, dtype=np.int16) - np.asarray(new, dtype=np.int16)).max(axis=2)
        assert (difference > 2).mean() < 0.01, name


def test_sample_data_holds_eight_scenes_a_style() -> None:
    styles = {"aigi.json": ["cartoon", "sketch"], "photos.json": ["photo"]}
    for name, expected in styles.items():
        content = read(SAMPLES / name)
        assert [image["style"] for image in content["images"]] == [
            s for s in expected for _ in range(PER_STYLE)
        ]
        assert all((SAMPLES / "images" / image["file_name"]).is_file() for image in content["images"])
        assert {a["image_id"] for a in content["annotations"]} == {image["id"] for image in content["images"]}
        assert content["info"]["seed"] == SEED


def test_absent_phrases_are_annotated_by_empty_masks_and_read_back_as_absent(tmp_path):
    list(write_dataset(tmp_path, "photo", 6, 5, absent=3))
    by_image = load_coco(tmp_path / "annotations.json").by_image()
    assert len(by_image) == 6
    for index, samples in enumerate(by_image.values()):
        scene = render("photo", scene_seed(5, index))
        present = {phrase.text for phrase in phrases(scene)}
        absent = [sample.phrase for sample in samples if sample.absent]
        assert len(absent) == 3
        assert set(absent) <= set(absent_phrases(scene))
        assert {sample.phrase for sample in samples if not sample.absent} == present
