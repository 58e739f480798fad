"""The other LDMs of the study: the bundled one's recipe ended early, or its UNet at random."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file
from transformers import CLIPTokenizer

from ldznet_cli.miniature.bundle import ldm_folder
from ldznet_cli.miniature.data import render_training_set, training_captions, training_images
from ldznet_cli.miniature.descent import Descent
from ldznet_cli.miniature.events import BuildEvent, Events
from ldznet_cli.miniature.latents import save_captions, save_latents
from ldznet_cli.miniature.ldm_recipe import PretrainingRecipe
from ldznet_cli.miniature.paper.controls import write_random_ldm
from ldznet_cli.miniature.paper.protocol import Ldm, Protocol
from ldznet_cli.miniature.pipeline import load_pipeline, save_pipeline
from ldznet_cli.miniature.pretraining import Denoising, TrainingData, build_networks
from ldznet_cli.miniature.provenance import averaged
from ldznet_cli.miniature.recipe import DataRecipe, Recipe

_DECAY_SHARE = 1 / 3
"""Of a shortened training: how much of it is decay. The bundled one's is about as many steps."""


def make_ldm(folder: Path, name: Ldm, work: Path, protocol: Protocol, recipe: Recipe) -> Events:
    """The LDM folder `folder`, unless it is there; the bundled one always is."""
    if name == "bundled" or (folder / "model_index.json").exists():
        return
    if name == "random":
        write_random_ldm(ldm_folder(), folder, seed=protocol.seeds[0])
        yield BuildEvent("LDM of random weights", 1, 1)
        return
    steps = protocol.ldm_steps[("early", "middle").index(name)]
    yield from _trained(folder, steps, work, recipe)


def shortened(recipe: PretrainingRecipe, steps: int) -> PretrainingRecipe:
    """The same training, ended after `steps`, the last third of them with the decay."""
    return replace(
        recipe, descent=replace(recipe.descent, steps=steps, decay_steps=round(_DECAY_SHARE * steps))
    )


def _trained(folder: Path, steps: int, work: Path, recipe: Recipe) -> Events:
    """Trained on what the bundled LDM was trained on, with its first stage and its tokenizer."""
    data = work / "paper" / "pretraining"
    yield from training_data(data, work / "scenes", recipe.data)
    own, place = shortened(recipe.pretraining, steps), work / "paper" / "ldms" / f"training-{steps}"
    objective = Denoising(own, recipe.schedule, TrainingData(data), ldm_folder() / "tokenizer")
    descent = Descent(objective, own.descent, place)
    with closing(descent.run()) as records:
        for record in records:
            yield BuildEvent(f"LDM of {steps} steps", record.step + 1, descent.end)
    tokenizer = CLIPTokenizer.from_pretrained(ldm_folder() / "tokenizer")
    networks = build_networks(own, tokenizer)
    networks.load_state_dict(load_file(averaged(place)))
    bundled = load_pipeline(ldm_folder())
    factor = float(bundled.vae.config.scaling_factor)
    save_pipeline(folder, networks, bundled.vae, factor, tokenizer, recipe.schedule)


def training_data(data: Path, scenes: Path, recipe: DataRecipe) -> Events:
    """Latents and token ids of the LDM's training set in `data`, by its first stage and its tokenizer."""
    if (data / "latents.npy").exists():
        return
    done = 0
    for chunk in render_training_set(recipe, scenes):
        done += chunk.count
        yield BuildEvent("scenes with captions", done, 3 * recipe.scenes_per_style)
    bundled = load_pipeline(ldm_folder())
    save_captions(data, bundled.tokenizer, training_captions(recipe, scenes))
    factor = float(bundled.vae.config.scaling_factor)
    save_latents(data, bundled.vae, training_images(recipe, scenes), factor)
    yield BuildEvent("latents", 1, 1)
