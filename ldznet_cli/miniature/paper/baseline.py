"""The discriminative baseline: CLIPSeg's decoder on a CLIP pretrained on what the LDM saw."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

from transformers import CLIPSegForImageSegmentation, CLIPTokenizer

from ldznet_cli.inference.clipseg import ClipSegPredictor
from ldznet_cli.miniature.bundle import ldm_folder, weights_folder
from ldznet_cli.miniature.events import BuildEvent
from ldznet_cli.miniature.ldm_recipe import TextRecipe
from ldznet_cli.miniature.paper.clipseg import DecoderRecipe, build_clipseg, train_decoder
from ldznet_cli.miniature.paper.contrastive import CaptionedImages, Contrast, ContrastiveRecipe, pretrain
from ldznet_cli.miniature.paper.ldms import training_data
from ldznet_cli.miniature.paper.maps import test_predictor
from ldznet_cli.miniature.paper.material import World
from ldznet_cli.miniature.paper.nets import Tested
from ldznet_cli.miniature.provenance import as_it_was_run, averaged
from ldznet_cli.miniature.segmentation import told


def test_clipseg(world: World) -> Tested:
    """Pretrains, trains the decoder with the nets' budget, and tests it on every style."""
    yield from world.scenes()
    protocol, data = world.protocol, world.own / "pretraining"
    yield from training_data(data, world.work / "scenes", world.recipe.data)
    tokenizer = CLIPTokenizer.from_pretrained(ldm_folder() / "tokenizer")
    recipe = ContrastiveRecipe(text=TextRecipe(), seconds=60 * protocol.contrastive_minutes)
    pairs = CaptionedImages(world.recipe.data, world.work / "scenes", data / "captions.npy")
    place = world.own / "contrastive"
    yield from pretrain(Contrast(recipe, pairs, ldm_folder() / "tokenizer"), place)
    tried = {}
    for rate in protocol.learning_rates:
        model = build_clipseg(recipe, DecoderRecipe(), tokenizer, averaged(place), protocol.seeds[0])
        tried[rate] = yield from _decoder(world, model, tokenizer, rate)
    best = max(tried, key=lambda rate: tried[rate]["miou"])
    predictor = ClipSegPredictor(_folder(world, best))
    about, scores = yield from test_predictor(world, predictor, tried[best]["threshold"], "CLIPSeg")
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    ldm = json.loads((weights_folder() / "scores.json").read_text("utf-8"))["provenance"]["trainings"]["ldm"]
    pretraining = {"CLIP": as_it_was_run(place, recipe.descent), "LDM": ldm}
    more = {"parameters_of_parts": counts, "rates": tried, "learning_rate": best, "pretraining": pretraining}
    return {**about, **more}, scores


def _folder(world: World, rate: float) -> Path:
    return world.own / "clipseg" / f"decoder-{rate:g}"


def _decoder(
    world: World, model: CLIPSegForImageSegmentation, tokenizer: CLIPTokenizer, rate: float
) -> Generator[BuildEvent, None, dict[str, float]]:
    """Trained with the nets' budget at this learning rate: step, threshold and validation mIoU of its best weights."""
    config = replace(world.protocol.training, seed=world.protocol.seeds[0], learning_rate=rate)
    sets, out = (world.samples("train"), world.samples("validation")), _folder(world, rate)
    run = out.with_name(f"run-{rate:g}")
    events = train_decoder(model, tokenizer, *sets, config, run, out, world.stop)
    yield from told(events, f"CLIPSeg's decoder at {rate:g}", config.steps)
    note: dict[str, float] = json.loads((out / "training.json").read_text("utf-8"))
    return note
