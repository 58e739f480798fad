"""The whole of `make miniature` on the tiny recipe: every stage, resumed, in files that others can read."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

from ldznet_cli.errors import ModelError, WeightsUnavailable
from ldznet_cli.ldm.frozen import FrozenLDM
from ldznet_cli.miniature.build import Build, build, finished
from ldznet_cli.miniature.card import card
from ldznet_cli.miniature.data import chunks, render_training_set, training_captions, training_images
from ldznet_cli.miniature.pipeline import load_pipeline
from ldznet_cli.miniature.recipe import official, tiny
from ldznet_cli.miniature.scenes import STYLES, caption, render, scene_seed
from ldznet_cli.miniature.scoring import bars


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A finished tiny build, its LDM's training interrupted and resumed on the way."""
    folder = tmp_path_factory.mktemp("miniature")
    work = Build(folder / "work", folder / "out", tiny())
    events = build(work.work, work.out, work.recipe)
    for event in events:
        if event.stage == "ldm" and event.done == 3:
            events.close()
    assert not finished(work.work / "ldm")
    list(build(work.work, work.out, work.recipe))
    return work


def test_every_training_came_to_its_end(built: Build) -> None:
    trainings = built.provenance()["trainings"]
    assert {name: run["steps"] for name, run in trainings.items()} == {"autoencoder": 6, "ldm": 8}
    assert all(run["finished"] and run["samples"] == 4 * run["steps"] for run in trainings.values())


def test_diffusers_loads_and_samples_from_the_folder(built: Build) -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(built.out / "ldm", safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    size = pipeline.vae_scale_factor * pipeline.unet.config.sample_size
    image = pipeline("a red lamp", num_inference_steps=2, height=size, width=size, output_type="np").images
    assert (pipeline.vae_scale_factor, image.shape) == (8, (1, 128, 128, 3))
    assert np.isfinite(image).all()


def test_the_frozen_ldm_reads_it_too_and_agrees_with_the_pipeline(built: Build) -> None:
    pipeline, ldm = load_pipeline(built.out / "ldm"), FrozenLDM.load(built.out / "ldm", blocks=None)
    pixels = torch.rand(1, 3, 128, 128) * 2 - 1
    with torch.no_grad():
        expected = pipeline.vae.encode(pixels).latents * built.scaling_factor()
    torch.testing.assert_close(ldm.encode_image(pixels), expected)
    assert ldm.blocks == (0, 1, 2, 3, 4, 5)
    assert FrozenLDM.load(built.out / "ldm").blocks == (1, 2, 3, 4, 5)


def test_latents_have_unit_deviation(built: Build) -> None:
    latents = np.load(built.latents / "latents.npy").astype(np.float64)
    assert latents.std() == pytest.approx(1, abs=0.01)


def test_a_second_call_trains_nothing(built: Build) -> None:
    stages = [event.stage for event in build(built.work, built.out, built.recipe, until="pipeline")]
    assert stages == ["pipeline"]


def test_a_work_folder_keeps_to_its_recipe(built: Build) -> None:
    other = replace(built.recipe, data=replace(built.recipe.data, scenes_per_style=5))
    with pytest.raises(ModelError, match="another recipe .data differs"):
        next(build(built.work, built.out, other))


def test_the_card_mentions_every_number_of_the_recipe_and_every_bar(built: Build) -> None:
    text = (built.out / "MODEL_CARD.md").read_text("utf-8")
    scores = json.loads((built.out / "scores.json").read_text("utf-8"))
    assert text == card(built.recipe, scores)
    for line in ("| `pretraining.descent.learning_rate` | `0.001` |", "| `data.held_out_seed` | `1003` |"):
        assert line in text
    settings = [line for line in text.splitlines() if line.startswith("| `")]
    leaves = json.dumps(built.recipe.to_dict()).count(":")
    assert len(settings) == leaves - sum(isinstance(v, dict) for v in _nodes(built.recipe.to_dict()))
    for name in scores["bars"]:
        assert name in text


def _nodes(tree: dict[str, object]) -> list[object]:
    found: list[object] = []
    for value in tree.values():
        found.append(value)
        if isinstance(value, dict):
            found += _nodes(value)
    return found


def test_the_grid_of_samples_is_a_picture(built: Build) -> None:
    with Image.open(built.out / "samples.png") as picture:
        assert picture.size == (3 * 128, 128)


def test_bars_are_met_only_when_reached() -> None:
    scoring = official().scoring
    psnr = {style: {"mean": 27.0, "lowest": 21.0} for style in STYLES}
    scores = {"psnr": psnr, "grounding": {"all": {"margin": 0.11}}, "samples": {"both": 0.69}}
    assert [entry["met"] for entry in bars(scores, scoring).values()] == [True, True, True, False]
    psnr["sketch"] = {"mean": 25.9, "lowest": 19.0}
    assert [entry["met"] for entry in bars(scores, scoring).values()] == [False, False, True, False]


def test_rendering_goes_on_where_it_stopped(tmp_path: Path) -> None:
    recipe = tiny().data
    events = render_training_set(recipe, tmp_path)
    first = list(islice(events, 2))
    events.close()
    rest = list(render_training_set(recipe, tmp_path))
    assert [*first, *rest] == chunks(recipe)
    images, captions = training_images(recipe, tmp_path), training_captions(recipe, tmp_path)
    assert [part.shape[0] for part in images] == [3, 3, 3, 1, 1, 1]
    last = render(STYLES[-1], scene_seed(recipe.training_seed, 3))
    assert (images[-1][0] == last.image).all()
    assert captions[-1] == [caption(last, draw) for draw in range(recipe.captions_per_scene)]


def test_two_workers_render_the_same(tmp_path: Path) -> None:
    recipe = tiny().data
    for workers in (1, 2):
        list(render_training_set(recipe, tmp_path / str(workers), workers=workers))
    for path in sorted((tmp_path / "1").iterdir()):
        assert path.read_bytes() == (tmp_path / "2" / path.name).read_bytes()


def test_sets_of_the_official_recipe_are_disjoint_by_their_seeds() -> None:
    recipe = official()
    data, scoring = recipe.data, recipe.scoring
    assert len({data.training_seed, data.validation_seed, data.held_out_seed, scoring.classifier_seed}) == 4


def test_a_folder_without_a_pipeline_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="holds no diffusers pipeline"):
        load_pipeline(tmp_path)
