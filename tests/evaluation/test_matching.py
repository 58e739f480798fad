"""Which samples a prediction is about."""

from __future__ import annotations

import json
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from ldznet_cli.evaluation.answer import Answer, ImageKey
from ldznet_cli.evaluation.mask_folder import MaskFolder
from ldznet_cli.evaluation.matching import NO_IMAGE, NO_PHRASE, OTHER_IMAGE, Matcher
from ldznet_cli.metrics import Prediction
from ldznet_cli.samples.coco import load_coco
from ldznet_cli.samples.images import sha256_of
from ldznet_cli.samples.masks import write_mask


def find(
    gt: Path, name: str, phrase: str = "grass", sha256: str | None = None, **how: bool
) -> list[str] | str:
    """The ids of the samples found."""
    samples = load_coco(gt, **how)  # type: ignore[arg-type]
    found = Matcher(samples).find(Answer(ImageKey(name, sha256), phrase, Prediction.nothing))
    return found if isinstance(found, str) else [samples.samples[index].id for index in found]


def digest(gt: Path, name: str) -> str:
    return sha256_of(gt.parent / "images" / name)


@pytest.mark.parametrize("name", ["cartoon/2.png", "2.png", "somewhere/else/2.png"])
def test_by_name(gt: Path, name: str) -> None:
    assert find(gt, name) == ["2/grass"]


def test_by_content_whatever_the_name(gt: Path) -> None:
    assert find(gt, "renamed.png", sha256=digest(gt, "cartoon/2.png")) == ["2/grass"]


def test_content_stands_above_the_name(gt: Path) -> None:
    assert find(gt, "photo_1.png", sha256=digest(gt, "cartoon/2.png")) == ["2/grass"]


def test_another_image_of_the_same_name_is_none_of_ours(gt: Path) -> None:
    assert find(gt, "photo_1.png", sha256="0" * 64) == OTHER_IMAGE


def test_without_images_on_disk_the_name_has_to_do(gt: Path) -> None:
    name = digest(gt, "photo_1.png")
    shutil.rmtree(gt.parent / "images")
    assert find(gt, "photo_1.png", sha256=name) == ["1/grass"]
    assert find(gt, "renamed.png", sha256=name) == NO_IMAGE


def test_a_file_name_that_two_images_share_says_nothing(gt: Path) -> None:
    text = gt.read_text().replace("sketch_3.png", "sketch/2.png")
    gt.write_text(text)
    assert find(gt, "2.png") == NO_IMAGE
    assert find(gt, "sketch/2.png", "tree") == ["3/tree"]


def test_phrases(gt: Path) -> None:
    assert find(gt, "photo_1.png", " red   lamp ") == ["1/red lamp"]
    assert find(gt, "photo_1.png", "lamp") == NO_PHRASE  # its lamp is a "red lamp"
    assert find(gt, "photo_1.png", "Grass") == NO_PHRASE  # as the annotation spells it


def test_each_annotation(gt: Path) -> None:
    assert find(gt, "photo_1.png", "tree", per_annotation=True) == ["1/tree/3", "1/tree/4"]


def test_accents_may_be_written_in_two_ways(tmp_path: Path) -> None:
    """macOS tells names with letters and accents apart."""
    names = {form: unicodedata.normalize(form, "café.png") for form in ("NFC", "NFD")}
    assert names["NFC"] != names["NFD"]
    for form, other in (("NFC", "NFD"), ("NFD", "NFC")):
        image = {"id": 1, "file_name": names[form], "width": 8, "height": 8}
        phrase = unicodedata.normalize(form, "café lamp")
        annotation = {"id": 1, "image_id": 1, "phrase": phrase, "segmentation": [[0, 0, 4, 0, 4, 4]]}
        gt = tmp_path / f"{form}.json"
        gt.write_text(json.dumps({"images": [image], "annotations": [annotation], "categories": []}))
        samples = load_coco(gt)
        answer = Answer(ImageKey(names[other]), unicodedata.normalize(other, "café lamp"), Prediction.nothing)
        assert Matcher(samples).find(answer) == [0]
        folder = tmp_path / form
        folder.mkdir()
        write_mask(folder / f"{names[other][:-4]}_{answer.phrase}.png", np.zeros((8, 8), dtype=bool))
        assert [found.phrase for found in MaskFolder(folder, samples)] == [phrase]
