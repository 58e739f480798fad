"""The discriminative rival: its pairs, its objective, its time, and the CLIPSeg that comes of it, up to `segment`."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import CLIPTokenizer

from ldznet_cli.features import FeatureItem
from ldznet_cli.inference.clipseg import ClipSegPredictor
from ldznet_cli.miniature.data import render_training_set, training_captions, training_images
from ldznet_cli.miniature.latents import save_captions
from ldznet_cli.miniature.paper.clipseg import (
    ClipFeatures,
    Decoder,
    DecoderRecipe,
    build_clipseg,
    train_decoder,
)
from ldznet_cli.miniature.paper.contrastive import (
    CaptionedImages,
    Contrast,
    build_clip,
    pretrain,
    tiny_contrastive,
)
from ldznet_cli.miniature.provenance import averaged, finished
from ldznet_cli.miniature.recipe import tiny
from ldznet_cli.miniature.scenes import write_dataset
from ldznet_cli.miniature.text import build_tokenizer, count_words
from ldznet_cli.samples.coco import load_coco
from ldznet_cli.samples.images import read_image, sha256_of
from ldznet_cli.training import preset

RECIPE = tiny_contrastive()
DECODER = DecoderRecipe(layers=(0, 1, 2), width=8, heads=2, hidden=16)


@pytest.fixture(scope="module")
def objective(tmp_path_factory: pytest.TempPathFactory) -> Contrast:
    work, data = tmp_path_factory.mktemp("clip"), tiny().data
    list(render_training_set(data, work / "scenes"))
    captions = training_captions(data, work / "scenes")
    tokenizer = build_tokenizer(count_words(text for own in captions for text in own), RECIPE.text)
    tokenizer.save_pretrained(work / "tokenizer")
    save_captions(work, tokenizer, captions)
    return Contrast(RECIPE, CaptionedImages(data, work / "scenes", work / "captions.npy"), work / "tokenizer")


@pytest.fixture(scope="module")
def pretrained(objective: Contrast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pretrained")
    assert [event.done for event in pretrain(objective, folder)] == [1, 2, 3, 4, 5, 6]
    return folder


def test_a_pair_is_an_image_with_a_caption_of_its_own(objective: Contrast) -> None:
    data = objective.data
    images = np.concatenate(training_images(data.recipe, data.scenes))
    assert len(data) == len(images) == 12
    assert all(np.array_equal(data.image(index), images[index]) for index in range(len(images)))
    pixels, ids = objective.pairs(3, 0, 1)
    for pixel, row in zip(pixels, ids, strict=True):
        shown = ((pixel.permute(1, 2, 0) + 1) * 127.5).round().to(torch.uint8).numpy()
        [index] = np.flatnonzero((images == shown).all((1, 2, 3)))
        assert (data.ids[index] == row.numpy()).all(-1).any()


def test_shards_share_out_the_batch(objective: Contrast) -> None:
    whole, *parts = (objective.pairs(2, *share)[0] for share in ((0, 1), (0, 2), (1, 2)))
    assert torch.equal(whole[0::2], parts[0])
    assert torch.equal(whole[1::2], parts[1])


def test_the_loss_is_clip_s(objective: Contrast) -> None:
    module = objective.module().double()
    with torch.autocast("cpu", enabled=False):
        pixels, ids = objective.pairs(0, 0, 1)
        expected = module(pixel_values=pixels.double(), input_ids=ids, return_loss=True).loss
    loss, metrics = objective.loss(objective.module(), 0, 0, 1)
    assert loss.item() == pytest.approx(expected.item(), abs=0.02)  # bfloat16
    assert metrics["scale"] == pytest.approx(math.exp(2.6592), rel=1e-4)
    assert 0 <= metrics["named"] <= 1


def test_the_temperature_has_a_bound(objective: Contrast) -> None:
    module = objective.module()
    module.logit_scale.data.fill_(9.0)
    assert objective.loss(module, 0, 0, 1)[1]["scale"] == pytest.approx(100)


def test_it_learns_which_caption_is_whose(objective: Contrast) -> None:
    module = objective.module()
    optimiser = torch.optim.Adam(module.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        loss, metrics = objective.loss(module, 0, 0, 1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(metrics["loss"])
    assert losses[-1] < 0.5 * losses[0]


def test_the_same_seed_gives_the_same_clip_and_a_finished_one_is_left_alone(
    objective: Contrast, pretrained: Path, tmp_path: Path
) -> None:
    list(pretrain(objective, tmp_path))
    one, two = (load_file(averaged(folder)) for folder in (pretrained, tmp_path))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert list(pretrain(objective, tmp_path)) == []


def test_stopped_and_resumed_it_is_the_same_to_the_last_bit(
    objective: Contrast, pretrained: Path, tmp_path: Path
) -> None:
    events = pretrain(objective, tmp_path)
    assert next(events).done == 1
    assert next(events).done == 2
    events.close()
    assert [event.done for event in pretrain(objective, tmp_path)] == [3, 4, 5, 6]
    one, two = (load_file(averaged(folder)) for folder in (pretrained, tmp_path))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_when_its_time_is_up_the_rate_decays(objective: Contrast, tmp_path: Path) -> None:
    descent = replace(RECIPE.descent, steps=1_000, decay_steps=3)
    hurried = replace(objective, recipe=replace(RECIPE, seconds=1e-6, descent=descent))
    events = list(pretrain(hurried, tmp_path))
    assert [event.done for event in events] == [1, 2, 3, 4, 5, 6]  # the two of warm-up do not tell the pace
    assert finished(tmp_path)
    state = json.loads((tmp_path / "checkpoint" / "state.json").read_text())
    assert (state["decay_from"], state["step"]) == (3, 6)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("masks")
    list(write_dataset(folder, "photo", 3, 77, absent=1))
    return folder / "annotations.json"


def test_the_decoder_is_trained_as_the_nets_are_and_segment_takes_what_comes_of_it(
    objective: Contrast, pretrained: Path, scenes: Path, tmp_path: Path
) -> None:
    tokenizer = CLIPTokenizer.from_pretrained(objective.tokenizer)
    model = build_clipseg(RECIPE, DECODER, tokenizer, averaged(pretrained), seed=3)
    clip = {name: value.clone() for name, value in model.clip.state_dict().items()}
    trained = build_clip(RECIPE, tokenizer)
    trained.load_state_dict(load_file(averaged(pretrained)))
    assert all(torch.equal(value, clip[name]) for name, value in trained.state_dict().items())

    samples = load_coco(scenes)
    config = preset(
        "miniature", steps=2, batch=4, warmup=1, validate_every=2, checkpoint_every=1, negatives=0.5
    )
    out = tmp_path / "clipseg"
    events = list(train_decoder(model, tokenizer, samples, samples, config, tmp_path / "run", out))
    assert [event.step for event in events if event.kind == "step"] == [1, 2]
    assert all(torch.equal(value, clip[name]) for name, value in model.clip.state_dict().items())
    assert json.loads((out / "training.json").read_text())["step"] == 2

    predictor = ClipSegPredictor(out)
    image, phrase = samples.samples[0].image, samples.samples[0].phrase
    [answer] = predictor.predict(read_image(image.path), sha256_of(image.path), [phrase])
    assert answer.prob.shape == (128, 128)
    [given] = ClipFeatures(predictor.model, tokenizer).features(image, [FeatureItem(phrase)])
    blocks = {layer: state[None] for layer, state in given.blocks.items()}
    with torch.no_grad():
        logits = Decoder(predictor.model)(given.z[None], given.text[None], blocks)[0, 0]
    np.testing.assert_allclose(answer.prob, logits.sigmoid().numpy(), atol=0.03)  # states are kept in float16


def test_a_decoder_begins_undecided(objective: Contrast, pretrained: Path, scenes: Path) -> None:
    tokenizer = CLIPTokenizer.from_pretrained(objective.tokenizer)
    models = [build_clipseg(RECIPE, DECODER, tokenizer, averaged(pretrained), seed) for seed in (3, 3, 4)]
    sample = load_coco(scenes).samples[0]
    [given] = ClipFeatures(models[0], tokenizer).features(sample.image, [FeatureItem(sample.phrase)])
    blocks = {layer: state[None] for layer, state in given.blocks.items()}
    with torch.no_grad():
        one, same, other = (Decoder(model)(given.z[None], given.text[None], blocks) for model in models)
    assert one.shape == (1, 1, 128, 128)
    assert one.abs().max() < 2
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_the_folder_s_processor_leaves_an_image_of_its_size_as_it_is(
    objective: Contrast, pretrained: Path, scenes: Path, tmp_path: Path
) -> None:
    from ldznet_cli.miniature.autoencoder import to_pixels
    from ldznet_cli.miniature.paper.clipseg import save_clipseg

    tokenizer = CLIPTokenizer.from_pretrained(objective.tokenizer)
    model = build_clipseg(RECIPE, DECODER, tokenizer, averaged(pretrained), seed=3)
    for _ in range(2):  # a second time replaces the first
        save_clipseg(model, tokenizer, tmp_path / "out", {"step": 0})
    image = read_image(load_coco(scenes).samples[0].image.path)
    pixels = ClipSegPredictor(tmp_path / "out").processor.image_processor(image, return_tensors="pt")
    expected = to_pixels(np.asarray(image)[None])
    torch.testing.assert_close(pixels["pixel_values"], expected, atol=1e-5, rtol=0)
    assert Image.fromarray(np.asarray(image)).size == (128, 128)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
