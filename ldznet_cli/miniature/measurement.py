"""The LDM's measures, part by part: each is kept in the work folder and made anew only when its weights change."""

from __future__ import annotations

import hashlib
import json
import shutil
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file

from ldznet_cli.errors import ModelError
from ldznet_cli.ldm.digests import digests_of, file_digest
from ldznet_cli.miniature.data import save_json
from ldznet_cli.miniature.events import BuildEvent, Events
from ldznet_cli.miniature.judge import Judge
from ldznet_cli.miniature.judge_training import train_judge
from ldznet_cli.miniature.pipeline import load_pipeline
from ldznet_cli.miniature.recipe import Recipe
from ldznet_cli.miniature.scoring import (
    Measuring,
    Scores,
    grounding_scores,
    judge_scores,
    psnr_scores,
    sample,
    sample_prompts,
    sample_scores,
    save_grid,
)

PARTS = ("psnr", "grounding", "judge", "reconstructions", "samples")
PICTURE = "samples.png"
_SAMPLING = ("sampled_prompts", "sampling_seed", "sampling_steps", "guidance")


class Measurement:
    """The measures of the pipeline folder `ldm` by `recipe`, kept in `work`. `run`, then `result`."""

    def __init__(self, work: Path, ldm: Path, recipe: Recipe) -> None:
        self.work, self.ldm, self.recipe = work, ldm, recipe

    def run(self) -> Events:
        """Measure what is missing."""
        measures = {
            "psnr": self._psnr,
            "grounding": self._grounding,
            "judge": self._judge,
            "reconstructions": self._reconstructions,
            "samples": self._samples,
        }
        for part in PARTS:
            if not self._is_current(part):
                self.work.mkdir(parents=True, exist_ok=True)
                scores = yield from measures[part]()
                save_json(self._file(part), {"of": self.keys[part], "scores": scores})

    def result(self) -> Scores:
        """All parts. Raises ModelError when one is missing, or is of other weights or of another recipe."""
        for part in PARTS:
            if not self._is_current(part):
                raise ModelError(
                    f"{self._file(part)} is not of {self.ldm}: measure it first (stage `scores`)"
                )
        return {part: json.loads(self._file(part).read_text("utf-8"))["scores"] for part in PARTS}

    @property
    def picture(self) -> Path:
        """A grid of samples."""
        return self.work / PICTURE

    @cached_property
    def keys(self) -> dict[str, str]:
        """What each part depends on, as a hash: weights, and those of the recipe's numbers that it is measured by."""
        numbers = self.recipe.to_dict()
        scoring, data = numbers["scoring"], numbers["data"]
        scenes = [data["renderer"], data["held_out_seed"], scoring["scenes_per_style"]]
        weights, judge = digests_of(self.ldm).to_dict(), scoring["judge"]
        first_stage = [file_digest(path) for path in sorted((self.ldm / "vae").iterdir())]
        sampling = {name: value for name, value in scoring.items() if name in _SAMPLING}
        needed: dict[str, list[Any]] = {
            "psnr": [scenes, first_stage],
            "grounding": [scenes, scoring["timesteps"], weights],
            "judge": [scenes, judge],
            "reconstructions": [scenes, judge, first_stage],
            "samples": [sampling, judge, first_stage, weights],
        }
        return {part: _sha256([part, *what]) for part, what in needed.items()}

    def _file(self, part: str) -> Path:
        return self.work / f"{part}.json"

    def _is_current(self, part: str) -> bool:
        path = self._file(part)
        return path.exists() and json.loads(path.read_text("utf-8"))["of"] == self.keys[part]

    @cached_property
    def _pipeline(self) -> StableDiffusionPipeline:
        return load_pipeline(self.ldm)

    def _psnr(self) -> Measuring:
        seed = self.recipe.data.held_out_seed
        return (yield from psnr_scores(self._pipeline, self.recipe.scoring, seed))

    def _grounding(self) -> Measuring:
        recipe, seed = self.recipe, self.recipe.data.held_out_seed
        return (yield from grounding_scores(self._pipeline, recipe.schedule, recipe.scoring, seed))

    def _judge(self) -> Measuring:
        """Trains the judge and keeps its weights; its own score is the ceiling of the samples'."""
        recipe, seed = self.recipe.scoring, self.recipe.data.held_out_seed
        judge = yield from train_judge(recipe.judge)
        save_file(judge.state_dict(), self.work / "judge.safetensors")
        return (yield from judge_scores(judge, recipe, seed))

    def _reconstructions(self) -> Measuring:
        """The judge's ceiling on what comes out of the decoder, as samples do."""
        recipe, seed = self.recipe.scoring, self.recipe.data.held_out_seed
        return (yield from judge_scores(self.judge(), recipe, seed, self._pipeline))

    def judge(self) -> Judge:
        """The judge as it was trained."""
        judge = Judge(self.recipe.scoring.judge.widths)
        judge.load_state_dict(load_file(self.work / "judge.safetensors"))
        return judge.eval()

    def _samples(self) -> Measuring:
        prompts, images = sample_prompts(self.recipe.scoring), []
        for batch in sample(self._pipeline, [prompt for prompt, _ in prompts], self.recipe.scoring):
            images += list(batch)
            yield BuildEvent("samples", len(images), len(prompts))
        save_grid(np.stack(images), self.picture)
        return sample_scores(self.judge(), np.stack(images), [pair for _, pair in prompts])

    def publish_picture(self, out: Path) -> None:
        """The grid of samples, beside the weights."""
        shutil.copyfile(self.picture, out / PICTURE)


def _sha256(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
