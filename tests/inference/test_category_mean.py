"""The mean mask of a phrase."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ldznet_cli.errors import PromptError, UsageError
from ldznet_cli.inference.category_mean import SIZE, CategoryMeanPredictor
from ldznet_cli.inference.predictor import Predictor
from ldznet_cli.samples.coco import SampleSet, load_coco

PICTURE = Image.new("RGB", (100, 50))


def annotated(folder: Path, masks: list[tuple[int, str, list[list[float]]]]) -> SampleSet:
    images = [{"id": i, "file_name": f"{i}.png", "width": 8, "height": 8} for i in {i for i, *_ in masks}]
    annotations = [
        {"id": n, "image_id": i, "category_id": 1, "phrase": phrase, "segmentation": rings, "iscrowd": 0}
        for n, (i, phrase, rings) in enumerate(masks)
    ]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "thing"}]}
    path = folder / "gt.json"
    path.write_text(json.dumps(content))
    return load_coco(path)


LEFT, ALL = [[-1.0, -1, 3.5, -1, 3.5, 9, -1, 9]], [[-1.0, -1, 9, -1, 9, 9, -1, 9]]


@pytest.fixture
def predictor(tmp_path: Path) -> CategoryMeanPredictor:
    return CategoryMeanPredictor(annotated(tmp_path, [(0, "sky", LEFT), (1, "sky", ALL), (1, "sea", LEFT)]))


def test_the_mean_of_a_phrase_s_masks(predictor: CategoryMeanPredictor) -> None:
    assert isinstance(predictor, Predictor)
    (sky,) = predictor.predict(PICTURE, "0" * 64, ["sky"])
    half = SIZE // 2
    assert sky.prob.shape == (SIZE, SIZE)
    assert np.allclose(sky.prob[:, :half], 1)
    assert np.allclose(sky.prob[:, half:], 0.5)


def test_an_unknown_phrase_gets_the_mean_of_all(predictor: CategoryMeanPredictor) -> None:
    (boat,) = predictor.predict(PICTURE, "0" * 64, ["boat"])
    assert np.allclose(boat.prob[:, SIZE // 2 :], 1 / 3)


def test_the_threshold_is_the_best_on_the_training_masks(predictor: CategoryMeanPredictor) -> None:
    # Below 0.5 "sky" scores (0.5 + 1) / 2, above it (1 + 0.5) / 2; "sea" is perfect throughout: the first wins.
    assert predictor.threshold == 0.02


def test_what_is_refused(tmp_path: Path, predictor: CategoryMeanPredictor) -> None:
    with pytest.raises(PromptError):
        predictor.check(["  "])
    (tmp_path / "absent").mkdir()
    with pytest.raises(UsageError, match="no mask"):
        CategoryMeanPredictor(annotated(tmp_path / "absent", [(0, "sky", [])]))
