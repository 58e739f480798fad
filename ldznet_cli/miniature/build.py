"""`make miniature`: every stage from the renderer to the model card, each skipped when its output is there.

    scenes → text → autoencoder → latents → ldm → decoder → pipeline → nets → scores → card

Stop it at any time (Ctrl-C); the same call goes on from the last checkpoint. To end a training early, create the file
`decay-now` in its folder of the work folder (`ldm/decay-now`): the learning rate begins its decay at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from diffusers import AutoencoderTiny
from safetensors.torch import load_file
from transformers import CLIPTokenizer

from ldznet_cli.errors import Interrupted
from ldznet_cli.miniature.autoencoder import Reconstruction, build_autoencoder
from ldznet_cli.miniature.card import publish
from ldznet_cli.miniature.claim import claim
from ldznet_cli.miniature.data import render_training_set, save_json, training_captions, training_images
from ldznet_cli.miniature.decoder import Decoding, assembled
from ldznet_cli.miniature.descent import Descent
from ldznet_cli.miniature.events import BuildEvent, Events, Stage
from ldznet_cli.miniature.latents import save_captions, save_latents
from ldznet_cli.miniature.ldm_recipe import DescentRecipe
from ldznet_cli.miniature.logbook import Logbook
from ldznet_cli.miniature.measurement import Measurement
from ldznet_cli.miniature.pipeline import save_pipeline
from ldznet_cli.miniature.pretraining import Denoising, TrainingData, build_networks
from ldznet_cli.miniature.provenance import averaged, finished, provenance, same_run
from ldznet_cli.miniature.recipe import Recipe
from ldznet_cli.miniature.segmentation import NetBuild
from ldznet_cli.miniature.shards import Objective
from ldznet_cli.miniature.text import build_tokenizer, count_words
from ldznet_cli.miniature.watch import Watch


class Build:
    """A build of `recipe` in the folder `work`, whose results go to `out`. `run` is the whole of it.

    `workers` processes draw scenes. `stop` is asked after every event.
    """

    def __init__(
        self,
        work: Path,
        out: Path,
        recipe: Recipe,
        *,
        workers: int = 1,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.work, self.out, self.recipe, self.workers, self.stop = work, out, recipe, workers, stop
        self.scenes, self.latents, self.tokenizer = work / "scenes", work / "latents", work / "tokenizer"

    def run(self, until: Stage = "card") -> Events:
        """All stages up to `until`.

        Raises ModelError when something in `work` was made by another recipe; Interrupted when `stop` says so.
        """
        claim(self.work, self.recipe)
        stages: dict[Stage, Callable[[], Events]] = {
            "scenes": self.render, "text": self.learn_words, "autoencoder": self.train_autoencoder,
            "latents": self.encode, "ldm": self.train_ldm, "decoder": self.train_decoder, "pipeline": self.export,
            "nets": self.train_nets, "scores": self.score, "card": self.write_card,
        }  # fmt: skip
        for name, stage in stages.items():
            with closing(stage()) as events:
                for event in events:
                    yield event
                    if self.stop():
                        raise Interrupted(f"stopped in {event.stage}; the same command goes on from there")
            if name == until:
                return

    def render(self) -> Events:
        """Images and captions of the training set."""
        total, done = self.recipe.data.scenes_per_style * 3, 0
        for chunk in render_training_set(self.recipe.data, self.scenes, workers=self.workers):
            done += chunk.count
            yield BuildEvent("scenes", done, total)

    def learn_words(self) -> Events:
        """Tokenizer and token ids."""
        if not (self.latents / "captions.npy").exists():
            captions = training_captions(self.recipe.data, self.scenes)
            words = count_words(caption for own in captions for caption in own)
            tokenizer = build_tokenizer(words, self.recipe.pretraining.text)
            tokenizer.save_pretrained(self.tokenizer)
            save_captions(self.latents, tokenizer, captions)
            yield BuildEvent("text", 1, 1, f"{len(tokenizer)} tokens")

    def train_autoencoder(self) -> Events:
        """The first stage."""
        recipe = self.recipe.autoencoder
        objective = Reconstruction(recipe, self.recipe.data, self.scenes)
        yield from self._descend("autoencoder", objective, recipe.descent)

    def encode(self) -> Events:
        """Latents of all training images."""
        if not (self.latents / "scale.json").exists():
            images = training_images(self.recipe.data, self.scenes)
            factor = save_latents(self.latents, self.autoencoder(), images)
            save_json(self.latents / "scale.json", {"scaling_factor": factor})
            yield BuildEvent("latents", 1, 1, f"scaling factor {factor}")

    def train_ldm(self) -> Events:
        """Text encoder and UNet."""
        recipe = self.recipe.pretraining
        objective = Denoising(recipe, self.recipe.schedule, TrainingData(self.latents), self.tokenizer)
        yield from self._descend("ldm", objective, recipe.descent)

    def train_decoder(self) -> Events:
        """The first stage's decoder alone, on the latents as they are."""
        objective = Decoding(
            recipe=self.recipe.decoder,
            autoencoder=self.recipe.autoencoder,
            data=self.recipe.data,
            scenes=self.scenes,
            latents=self.latents / "latents.npy",
            factor=self.scaling_factor(),
            first_stage=averaged(self.work / "autoencoder"),
        )
        yield from self._descend("decoder", objective, self.recipe.decoder.descent)

    def _descend(self, stage: Stage, objective: Objective, recipe: DescentRecipe) -> Events:
        folder = self.work / stage
        if finished(folder):
            return
        descent = Descent(objective, recipe, folder)
        log = Logbook(folder / "log.jsonl")
        watch = None
        if isinstance(objective, Denoising):
            watch = Watch(self.recipe, descent, objective, self.autoencoder(), self.scaling_factor())
        with closing(descent.run()) as records:
            for record in records:
                entry = log.note(record)
                if watch and watch.due():
                    entry = log.write(step=descent.step, watch=watch.look())
                yield BuildEvent(stage, record.step + 1, descent.end, json.dumps(entry) if entry else "")

    def export(self) -> Events:
        """The pipeline folder `out/ldm`, from the EMA of the last checkpoint, also of an LDM that goes on training.

        Its first stage has the decoder of the decoder's own training once that is finished.
        """
        note, made = self.out / "ldm" / "training.json", self.provenance()
        if note.exists() and same_run(json.loads(note.read_text("utf-8")), made):
            return
        tokenizer = CLIPTokenizer.from_pretrained(self.tokenizer)
        networks = build_networks(self.recipe.pretraining, tokenizer)
        networks.load_state_dict(load_file(averaged(self.work / "ldm")))
        self.out.mkdir(parents=True, exist_ok=True)
        first_stage, factor = self.first_stage(), self.scaling_factor()
        save_pipeline(self.out / "ldm", networks, first_stage, factor, tokenizer, self.recipe.schedule)
        save_json(note, made)
        yield BuildEvent("pipeline", 1, 1, f"{self.out / 'ldm'} of {', '.join(made['trainings'])}")

    def train_nets(self) -> Events:
        """The segmentation nets on that LDM, and their scores in `out/nets.json`."""
        folder, ldm = self.work / "nets", self.out / "ldm"
        nets = NetBuild(folder, self.out, ldm, self.recipe, workers=self.workers, stop=self.stop)
        yield from nets.run()

    def score(self) -> Events:
        """The LDM's measures on held-out scenes, each kept in `work/scores`."""
        yield from self._measurement().run()

    def write_card(self) -> Events:
        """`out/scores.json`, `out/samples.png` and `out/MODEL_CARD.md`, from what was measured and recorded."""
        reached = publish(self.out, self.recipe, self._measurement(), self.provenance())
        yield BuildEvent("card", 1, 1, json.dumps(reached))

    def _measurement(self) -> Measurement:
        return Measurement(self.work / "scores", self.out / "ldm", self.recipe)

    def autoencoder(self) -> AutoencoderTiny:
        """The first stage as it was trained with its encoder, from its EMA."""
        recipe = self.recipe.autoencoder
        model = build_autoencoder(recipe, recipe.descent.seed)
        model.load_state_dict(load_file(averaged(self.work / "autoencoder")))
        return model.eval()

    def first_stage(self) -> AutoencoderTiny:
        """The same, with the wide decoder once its training is finished."""
        folder = self.work / "decoder"
        if not finished(folder):
            return self.autoencoder()
        return assembled(self.autoencoder(), self.recipe.autoencoder, self.recipe.decoder, averaged(folder))

    def scaling_factor(self) -> float:
        """1 / standard deviation of the training latents."""
        return float(json.loads((self.latents / "scale.json").read_text("utf-8"))["scaling_factor"])

    def provenance(self) -> dict[str, Any]:
        """What was really run."""
        return provenance(self.work, self.recipe)


def build(
    work: Path,
    out: Path,
    recipe: Recipe,
    *,
    workers: int = 1,
    until: Stage = "card",
    stop: Callable[[], bool] = lambda: False,
) -> Events:
    """Build the miniature: a generator of progress, resumable at every point. See the module's docstring."""
    yield from Build(work, out, recipe, workers=workers, stop=stop).run(until)
