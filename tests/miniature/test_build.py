"""The whole of `make miniature` on the tiny recipe: every stage, resumed, in files that others can read."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

from ldznet_cli.cli import main
from ldznet_cli.errors import Interrupted, ModelError, WeightsUnavailable
from ldznet_cli.ldm.digests import digests_of
from ldznet_cli.ldm.frozen import FrozenLDM
from ldznet_cli.miniature.build import Build, build
from ldznet_cli.miniature.card import card
from ldznet_cli.miniature.data import chunks, render_training_set, training_captions, training_images
from ldznet_cli.miniature.measurement import Measurement
from ldznet_cli.miniature.pipeline import load_pipeline
from ldznet_cli.miniature.provenance import finished, read_notes
from ldznet_cli.miniature.recipe import official, tiny
from ldznet_cli.miniature.scenes import STYLES, caption, render, scene_seed
from ldznet_cli.miniature.scoring import bars
from ldznet_cli.nets import digest_of, read_info


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A finished tiny build, interrupted and resumed in its LDM's and its first net's training.

    Before the decoder's training its pipeline folder was exported too, to `early`.
    """
    folder = tmp_path_factory.mktemp("miniature")
    work = Build(folder / "work", folder / "out", tiny())
    events = build(work.work, work.out, work.recipe)
    for event in events:
        if event.stage == "ldm" and event.done == 3:
            events.close()
    assert not finished(work.work / "ldm")
    list(build(work.work, folder / "early", work.recipe, until="ldm"))
    list(Build(work.work, folder / "early", work.recipe).export())
    (work.work / "provenance.json").write_text('{"notes": ["Interrupted twice, for a test."]}')
    begun = (work.work / "nets" / "ldznet" / "training.json").exists
    with pytest.raises(Interrupted, match="stopped after step 1 of 3"):
        list(build(work.work, work.out, work.recipe, stop=begun))
    list(build(work.work, work.out, work.recipe))
    return work


def test_every_training_came_to_its_end(built: Build) -> None:
    trainings = built.provenance()["trainings"]
    assert {name: run["steps"] for name, run in trainings.items()} == {
        "autoencoder": 6,
        "ldm": 8,
        "decoder": 6,
    }
    assert {name: run["samples"] for name, run in trainings.items()} == {
        "autoencoder": 24,
        "ldm": 32,
        "decoder": 12,
    }
    assert all(run["finished"] for run in trainings.values())
    assert [net["step"] for net in _nets(built)] == [3, 3]


def test_diffusers_loads_and_samples_from_the_folder(built: Build) -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(built.out / "ldm", safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    assert pipeline.vae.config.encoder_block_out_channels[0] == 8
    assert pipeline.vae.config.decoder_block_out_channels[0] == 12
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


def test_the_decoders_training_changes_pictures_and_nothing_that_the_nets_know(built: Build) -> None:
    early, late = built.out.with_name("early") / "ldm", built.out / "ldm"
    assert digests_of(early) == digests_of(late)
    before, after = load_pipeline(early).vae, load_pipeline(late).vae
    pixels = torch.rand(1, 3, 128, 128) * 2 - 1
    with torch.no_grad():
        z = before.encode(pixels).latents
        assert torch.equal(z, after.encode(pixels).latents)
        assert not torch.equal(before.decode(z).sample, after.decode(z).sample)


def test_latents_have_unit_deviation(built: Build) -> None:
    latents = np.load(built.latents / "latents.npy").astype(np.float64)
    assert latents.std() == pytest.approx(1, abs=0.01)


def test_a_second_call_makes_nothing_anew_but_the_card(built: Build) -> None:
    assert [event.stage for event in build(built.work, built.out, built.recipe)] == ["card"]


def test_until_ends_after_that_stage(built: Build) -> None:
    assert list(build(built.work, built.out, built.recipe, until="scores")) == []


def test_segment_takes_a_published_net(
    built: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(render("photo", 3).image).save(tmp_path / "scene.png")
    model = ["--model", str(built.out / "ldznet"), "--ldm", str(built.out / "ldm")]
    out = ["--out", str(tmp_path / "masks")]
    assert main(["segment", str(tmp_path / "scene.png"), "--prompt", "lamp", *model, *out]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["model_digest"] == digest_of(built.out / "ldznet")
    assert record["threshold"] == read_info(built.out / "ldznet").threshold


def test_every_net_is_scored_on_every_style_with_the_weights_that_lie_there(built: Build) -> None:
    assert [net["kind"] for net in _nets(built)] == ["ldznet", "znet"]
    for net in _nets(built):
        assert net["digest"] == digest_of(built.out / net["kind"])
        assert net["ldm"] == digests_of(built.out / "ldm").to_dict()
        assert list(net["held_out"]) == list(STYLES)
        for scores in net["held_out"].values():
            assert scores["all"]["samples"] == scores["object"]["samples"] + scores["stuff"]["samples"]
            assert all(0 <= value <= 1 for value in scores["presence"].values())
            assert set(scores["presence"]) == {"AUROC", "absent_FPR"}


def test_only_a_net_that_is_not_as_it_was_scored_is_scored_again(built: Build, tmp_path: Path) -> None:
    work, out = tmp_path / "work", tmp_path / "out"
    shutil.copytree(built.work, work)
    shutil.copytree(built.out, out)
    shutil.rmtree(out / "znet")
    stages = {event.stage for event in Build(work, out, built.recipe).train_nets()}
    assert "score znet on photo" in stages
    assert not any(stage.startswith("train") for stage in stages)
    assert json.loads((out / "nets.json").read_text()) == {"nets": _nets(built)}


def test_nets_of_another_ldm_are_not_gone_on_with(built: Build, tmp_path: Path) -> None:
    work, out = tmp_path / "work", tmp_path / "out"
    shutil.copytree(built.work, work)
    shutil.copytree(built.out, out)
    schedule = out / "ldm" / "scheduler" / "scheduler_config.json"
    schedule.write_text(schedule.read_text().replace("0.012", "0.013"))
    with pytest.raises(ModelError, match="ldznet is of another recipe or of another LDM: remove it"):
        list(Build(work, out, built.recipe).train_nets())


@pytest.mark.parametrize(
    ("part", "change", "folders"),
    [
        ("data", {"scenes_per_style": 5}, "scenes and tokenizer and latents"),
        ("pretraining", {"low_share": 0.5}, "ldm"),
        ("decoder", {"channels": 16}, "decoder"),
        ("nets", {"draws": 2}, "nets"),
    ],
)
def test_a_work_folder_keeps_to_its_recipe(
    built: Build, part: str, change: dict[str, Any], folders: str
) -> None:
    other = replace(built.recipe, **{part: replace(getattr(built.recipe, part), **change)})
    with pytest.raises(ModelError, match=f"another recipe .{part} differs.: .* or remove {folders} in it"):
        next(build(built.work, built.out, other))


def test_measures_are_of_the_weights_that_they_name(built: Build, tmp_path: Path) -> None:
    early, late = built.out.with_name("early") / "ldm", built.out / "ldm"
    keys = [Measurement(tmp_path, folder, built.recipe).keys for folder in (early, late)]
    changed = {part for part in keys[0] if keys[0][part] != keys[1][part]}
    assert changed == {"psnr", "reconstructions", "samples"}
    patient = replace(built.recipe, scoring=replace(built.recipe.scoring, least_psnr=1.0))
    assert Measurement(tmp_path, late, patient).keys == keys[1]
    with pytest.raises(ModelError, match="psnr.json is not of .*: measure it first"):
        Measurement(built.work / "scores", early, built.recipe).result()


def test_the_card_mentions_every_number_of_the_recipe_and_every_bar(built: Build) -> None:
    text = (built.out / "MODEL_CARD.md").read_text("utf-8")
    scores = json.loads((built.out / "scores.json").read_text("utf-8"))
    assert text == card(built.recipe, scores, _nets(built))
    for line in (
        "| `pretraining.descent.learning_rate` | `0.001` |",
        "| `data.held_out_seed` | `1003` |",
        "| `decoder.blocks` | `[2, 0, 0, 0]` |",
        "| `nets.nets.1.training.steps` | `3` |",
    ):
        assert line in text
    settings = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(settings) == _leaves(built.recipe.to_dict())
    assert len(scores["bars"]) == 6
    for name in scores["bars"]:
        assert name in text


def test_the_card_tells_of_the_nets_and_of_how_it_was_run(built: Build) -> None:
    text = (built.out / "MODEL_CARD.md").read_text("utf-8")
    assert "- Interrupted twice, for a test.\n" in text
    for net, name in zip(_nets(built), ("LD-ZNet", "ZNet"), strict=True):
        assert net["digest"][:12] in text
        sketch = net["held_out"]["sketch"]
        assert f"| {name} | sketch | {100 * sketch['object']['mIoU']:.1f} | " in text
    empty = replace(built.recipe, name="without nets")
    scores = json.loads((built.out / "scores.json").read_text("utf-8"))
    assert "Segmentation nets" not in card(empty, scores, [])


def _nets(built: Build) -> list[dict[str, Any]]:
    nets: list[dict[str, Any]] = json.loads((built.out / "nets.json").read_text("utf-8"))["nets"]
    return nets


def _leaves(value: Any) -> int:
    if isinstance(value, dict):
        return sum(_leaves(inner) for inner in value.values())
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return sum(_leaves(inner) for inner in value)
    return 1


@pytest.mark.parametrize("content", ["[]", '{"notes": "one"}', "{"])
def test_notes_that_are_none_are_named(built: Build, tmp_path: Path, content: str) -> None:
    (tmp_path / "provenance.json").write_text(content)
    with pytest.raises(ModelError, match=r"provenance.json should hold .*: correct it"):
        read_notes(tmp_path / "provenance.json")


def test_the_grid_of_samples_is_a_picture(built: Build) -> None:
    with Image.open(built.out / "samples.png") as picture:
        assert picture.size == (3 * 128, 128)


def test_bars_are_met_only_when_reached() -> None:
    scoring = official().scoring
    psnr = {style: {"mean": 27.0, "lowest": 21.0} for style in STYLES}
    scores = {"psnr": psnr, "grounding": {"all": {"margin": 0.11}}, "samples": {"both": 0.69}}
    assert [entry["met"] for entry in bars(scores, scoring).values()] == [True, True, True, False]
    photo = {"object": {"mIoU": 0.5}, "presence": {"AUROC": 0.9}}
    net = {"kind": "ldznet", "styles": ["photo"], "held_out": {"photo": photo}}
    assert [entry["met"] for entry in bars(scores, scoring, [net]).values()][-2:] == [True, True]
    photo["object"]["mIoU"], photo["presence"]["AUROC"] = 0.499, 0.899
    assert [entry["met"] for entry in bars(scores, scoring, [net]).values()][-2:] == [False, False]
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
    nets = [recipe.nets.training_seed, recipe.nets.validation_seed, recipe.nets.held_out_seed]
    seeds = [data.training_seed, data.validation_seed, data.held_out_seed, scoring.judge.seed, *nets]
    assert len(set(seeds)) == len(seeds)


def test_a_folder_without_a_pipeline_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="holds no diffusers pipeline"):
        load_pipeline(tmp_path)
