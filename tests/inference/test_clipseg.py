from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ldznet_cli.errors import ModelError, PromptError, WeightsUnavailable
from ldznet_cli.inference import ClipSegPredictor
from tests.tiny_clipseg import tiny_clipseg

IMAGE = Image.effect_mandelbrot((90, 60), (-2, -1.5, 1, 1.5), 30).convert("RGB")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clipseg(tmp_path_factory.mktemp("clipseg") / "tiny")


def test_a_map_for_each_phrase(folder: Path) -> None:
    made = ClipSegPredictor(folder, batch=2)
    maps = made.predict(IMAGE, "0" * 64, ["lamp", "tree", "lamp"])
    assert all(found.prob.shape == found.geometry.grid == (32, 32) for found in maps)
    assert (maps[0].geometry.kind, maps[0].geometry.size) == ("square", 32)
    assert maps[0].prob.dtype == np.float32
    assert np.abs(maps[0].prob - maps[1].prob).max() > 1e-6
    assert np.abs(maps[0].prob - maps[2].prob).max() <= 2 / 65535


def test_it_is_what_transformers_does(folder: Path) -> None:
    from transformers import CLIPSegForImageSegmentation, CLIPSegProcessor

    processor = CLIPSegProcessor.from_pretrained(folder)
    model = CLIPSegForImageSegmentation.from_pretrained(folder).eval()
    given = processor(
        text=["a lamp"], images=[IMAGE], padding="max_length", max_length=16, return_tensors="pt"
    )
    with torch.no_grad():
        expected = torch.sigmoid(model(**given).logits).reshape(32, 32).numpy()
    found = ClipSegPredictor(folder, batch=3).predict(IMAGE, "0" * 64, ["a lamp"])[0].prob
    assert np.allclose(found, expected, atol=1e-5)


def test_who_answers(folder: Path, tmp_path: Path) -> None:
    who = ClipSegPredictor(folder).identity
    assert (who.name, who.model, who.template, who.ldm, who.seed) == ("clipseg", "tiny", "{}", None, None)
    other = ClipSegPredictor(tiny_clipseg(tmp_path / "tiny", seed=1)).identity
    assert who.model_digest != other.model_digest
    assert ClipSegPredictor.threshold == 0.3


def test_phrases_that_cannot_be_put(folder: Path) -> None:
    made = ClipSegPredictor(folder)
    made.check(["lamp"])
    with pytest.raises(PromptError, match="tokens too long: CLIPSeg takes 14"):
        made.check(["lamp", "x" * 40])
    with pytest.raises(PromptError, match="empty"):
        made.check(["  "])


def test_weights_that_are_not_to_be_had(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="owner/name"):
        ClipSegPredictor(tmp_path / "none")
    with pytest.raises(WeightsUnavailable, match="offline"):
        ClipSegPredictor("nobody/nothing", offline=True)
    with pytest.raises(WeightsUnavailable, match=r"config\.json"):
        ClipSegPredictor(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip"}))
    with pytest.raises(ModelError, match="is a clip, expected a clipseg"):
        ClipSegPredictor(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match="is not readable as JSON"):
        ClipSegPredictor(tmp_path)
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(WeightsUnavailable, match=r"no model\.safetensors"):
        ClipSegPredictor(tmp_path)


def test_damaged_weights(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(WeightsUnavailable, match="cannot be loaded as a CLIPSeg") as caught:
        ClipSegPredictor(tmp_path)
    assert "\n" not in str(caught.value)


def test_weights_of_which_a_part_is_missing(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    tensors = load_file(folder / "model.safetensors")
    del tensors["decoder.film_add.bias"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsUnavailable, match=r"lacks decoder\.film_add\.bias"):
        ClipSegPredictor(tmp_path)
