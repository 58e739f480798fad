"""`make miniature`: every stage from the renderer to the model card, each skipped when its output is there.

    scenes → tokenizer, captions → autoencoder → latents → LDM → pipeline folder → scores → card

Stop it at any time (Ctrl-C or SIGTERM); the same call goes on from the last checkpoint. To end the LDM's training
early, create the file `ldm/decay-now` in the work folder: the learning rate begins its decay at once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import load_file
from transformers import CLIPTokenizer

from ldznet_cli.errors import ModelError
from ldznet_cli.miniature.autoencoder import Reconstruction, build_autoencoder
from ldznet_cli.miniature.card import write_card
from ldznet_cli.miniature.data import render_training_set, save_json, training_captions, training_images
from ldznet_cli.miniature.descent import Descent, Objective
from ldznet_cli.miniature.judge import Training as JudgeTraining
from ldznet_cli.miniature.latents import save_captions, save_latents
from ldznet_cli.miniature.logbook import Logbook, entries, training_seconds
from ldznet_cli.miniature.pipeline import load_pipeline, save_pipeline
from ldznet_cli.miniature.pretraining import Denoising, TrainingData, build_networks
from ldznet_cli.miniature.recipe import DescentRecipe, Recipe
from ldznet_cli.miniature.scoring import (
    LdmScores,
    bars,
    judge_scores,
    sample,
    sample_prompts,
    sample_scores,
    save_grid,
)
from ldznet_cli.miniature.text import build_tokenizer, count_words
from ldznet_cli.miniature.watch import Watch

STAGES = ("scenes", "text", "autoencoder", "latents", "ldm", "pipeline", "scores")


@dataclass(frozen=True)
class BuildEvent:
    """Progress within a stage; `note` is a line for the log."""

    stage: str
    done: int
    total: int
    note: str = ""


class Build:
    """A build of `recipe` in the folder `work`, whose results go to `out`. `run` is the whole of it."""

    def __init__(self, work: Path, out: Path, recipe: Recipe, *, workers: int = 1) -> None:
        self.work, self.out, self.recipe, self.workers = work, out, recipe, workers
        self.scenes, self.latents, self.tokenizer = work / "scenes", work / "latents", work / "tokenizer"

    def run(self, until: str = "scores") -> Iterator[BuildEvent]:
        """All stages up to `until`, one of STAGES. Raises ModelError when `work` belongs to another recipe."""
        self._claim()
        stages: tuple[Callable[[], Iterator[BuildEvent]], ...] = (
            self.render, self.learn_words, self.train_autoencoder, self.encode, self.train_ldm, self.export, self.score,
        )  # fmt: skip
        for name, stage in zip(STAGES, stages, strict=True):
            yield from stage()
            if name == until:
                return

    def _claim(self) -> None:
        """Data and first stage of a work folder must be this recipe's: their parts are compared, not the whole."""
        self.work.mkdir(parents=True, exist_ok=True)
        note, own = self.work / "recipe.json", self.recipe.to_dict()
        if note.exists():
            found = json.loads(note.read_text("utf-8"))
            for part in ("data", "autoencoder"):
                if found.get(part) != own[part]:
                    raise ModelError(
                        f"{self.work} was begun with another recipe ({part} differs): use another folder"
                    )
        save_json(note, own)

    def render(self) -> Iterator[BuildEvent]:
        """Images and captions of the training set."""
        total, done = self.recipe.data.scenes_per_style * 3, 0
        for chunk in render_training_set(self.recipe.data, self.scenes, workers=self.workers):
            done += chunk.count
            yield BuildEvent("scenes", done, total)

    def learn_words(self) -> Iterator[BuildEvent]:
        """Tokenizer and token ids."""
        if not (self.latents / "captions.npy").exists():
            captions = training_captions(self.recipe.data, self.scenes)
            words = count_words(caption for own in captions for caption in own)
            tokenizer = build_tokenizer(words, self.recipe.pretraining.text)
            tokenizer.save_pretrained(self.tokenizer)
            save_captions(self.latents, tokenizer, captions)
            yield BuildEvent("text", 1, 1, f"{len(tokenizer)} tokens")

    def train_autoencoder(self) -> Iterator[BuildEvent]:
        """The first stage."""
        recipe = self.recipe.autoencoder
        objective = Reconstruction(recipe, self.recipe.data, self.scenes)
        yield from self._descend("autoencoder", objective, recipe.descent)

    def encode(self) -> Iterator[BuildEvent]:
        """Latents of all training images."""
        if not (self.latents / "scale.json").exists():
            images = training_images(self.recipe.data, self.scenes)
            factor = save_latents(self.latents, self.autoencoder(), images)
            save_json(self.latents / "scale.json", {"scaling_factor": factor})
            yield BuildEvent("latents", 1, 1, f"scaling factor {factor}")

    def train_ldm(self) -> Iterator[BuildEvent]:
        """Text encoder and UNet."""
        recipe = self.recipe.pretraining
        objective = Denoising(recipe, self.recipe.schedule, TrainingData(self.latents), self.tokenizer)
        yield from self._descend("ldm", objective, recipe.descent)

    def _descend(self, stage: str, objective: Objective, recipe: DescentRecipe) -> Iterator[BuildEvent]:
        folder = self.work / stage
        if finished(folder):
            return
        descent = Descent(objective, recipe, folder)
        log = Logbook(folder / "log.jsonl")
        watch = None
        if isinstance(objective, Denoising):
            watch = Watch(self.recipe, descent, objective, self.autoencoder(), self.scaling_factor())
        for record in descent.run():
            entry = log.note(record)
            if watch and watch.due():
                entry = log.write(step=descent.step, watch=watch.look())
            yield BuildEvent(stage, record.step + 1, descent.end, json.dumps(entry) if entry else "")

    def export(self) -> Iterator[BuildEvent]:
        """The pipeline folder `out/ldm`, from the EMA of the last checkpoint, also of a training that goes on."""
        tokenizer = CLIPTokenizer.from_pretrained(self.tokenizer)
        networks = build_networks(self.recipe.pretraining, tokenizer)
        networks.load_state_dict(load_file(self.work / "ldm" / "checkpoint" / "ema.safetensors"))
        self.out.mkdir(parents=True, exist_ok=True)
        first_stage, factor = self.autoencoder(), self.scaling_factor()
        save_pipeline(self.out / "ldm", networks, first_stage, factor, tokenizer, self.recipe.schedule)
        save_json(self.out / "ldm" / "training.json", self.provenance())
        yield BuildEvent("pipeline", 1, 1, str(self.out / "ldm"))

    def score(self) -> Iterator[BuildEvent]:
        """The bars on held-out scenes, into `out/scores.json` and `out/MODEL_CARD.md`; samples beside them."""
        recipe, seed = self.recipe.scoring, self.recipe.data.held_out_seed
        pipeline = load_pipeline(self.out / "ldm")
        measured = LdmScores(pipeline, self.recipe.schedule, recipe)
        for progress in measured.run(seed):
            yield BuildEvent(
                "scores", progress.done, progress.total, progress.bar if progress.done == 1 else ""
            )
        training = JudgeTraining(recipe)
        for step in training.run():
            yield BuildEvent(step.stage, step.done, step.total)
        prompts = sample_prompts(recipe)
        images = []
        for batch in sample(pipeline, [prompt for prompt, _ in prompts], recipe):
            images += list(batch)
            yield BuildEvent("samples", len(images), len(prompts))
        save_grid(np.stack(images), self.out / "samples.png")
        scores = measured.result() | {
            "samples": sample_scores(training.judge, np.stack(images), [pair for _, pair in prompts]),
            "judge on rendered scenes": judge_scores(training.judge, recipe, seed),
        }
        scores |= {"bars": bars(scores, recipe), "provenance": self.provenance()}
        save_json(self.out / "scores.json", scores)
        write_card(self.out / "MODEL_CARD.md", self.recipe, scores)
        yield BuildEvent("card", 1, 1, json.dumps(scores["bars"]))

    def autoencoder(self) -> AutoencoderTiny:
        """The trained first stage, from its EMA."""
        recipe = self.recipe.autoencoder
        model = build_autoencoder(recipe, recipe.descent.seed)
        model.load_state_dict(load_file(self.work / "autoencoder" / "checkpoint" / "ema.safetensors"))
        return model.eval()

    def scaling_factor(self) -> float:
        """1 / standard deviation of the training latents."""
        return float(json.loads((self.latents / "scale.json").read_text("utf-8"))["scaling_factor"])

    def provenance(self) -> dict[str, Any]:
        """What was really run: steps, samples and seconds of each training, when, with which versions."""
        trainings = {}
        for stage, recipe in (
            ("autoencoder", self.recipe.autoencoder.descent), ("ldm", self.recipe.pretraining.descent),
        ):  # fmt: skip
            folder = self.work / stage
            state = json.loads((folder / "checkpoint" / "state.json").read_text("utf-8"))
            trainings[stage] = {
                "steps": state["step"], "decay_from": state["decay_from"], "samples": state["step"] * recipe.batch,
                "seconds": round(training_seconds(entries(folder / "log.jsonl"))), "finished": finished(folder),
            }  # fmt: skip
        return {
            "recipe": self.recipe.name, "recipe_digest": self.recipe.digest(), "trainings": trainings,
            "torch": torch.__version__, "threads": "one for each shard", "written": time.strftime("%Y-%m-%d"),
        }  # fmt: skip


def finished(folder: Path) -> bool:
    """Whether a training's last checkpoint is that of its last step."""
    note = folder / "checkpoint" / "state.json"
    if not note.exists():
        return False
    state = json.loads(note.read_text("utf-8"))
    return int(state["step"]) >= int(state["decay_from"]) + int(state["recipe"]["decay_steps"])


def build(
    work: Path, out: Path, recipe: Recipe, *, workers: int = 1, until: str = "scores"
) -> Iterator[BuildEvent]:
    """Build the miniature: a generator of progress, resumable at every point. See the module's docstring."""
    yield from Build(work, out, recipe, workers=workers).run(until)
