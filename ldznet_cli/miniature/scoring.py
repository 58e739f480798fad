"""The bars: what a built miniature is held to, measured on held-out scenes and written as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from torch import Tensor

from ldznet_cli.miniature.autoencoder import to_pixels
from ldznet_cli.miniature.data import Images
from ldznet_cli.miniature.grounding import ground
from ldznet_cli.miniature.judge import Judge, agreement, named_pairs
from ldznet_cli.miniature.pipeline import PairDenoiser
from ldznet_cli.miniature.pretraining import TextAndUNet
from ldznet_cli.miniature.recipe import ScheduleRecipe, ScoringRecipe
from ldznet_cli.miniature.scenes import (
    BACKDROPS,
    COLORS,
    GROUNDS,
    OBJECTS,
    STYLES,
    Scene,
    render,
    scene_seed,
)
from ldznet_cli.miniature.scenes.scene import generator

Scores = dict[str, Any]
GROUNDING_COLUMNS = ("right", "other", "mean", "centre", "row")
_BATCH = 24


@dataclass(frozen=True)
class Progress:
    """`done` of `total` items of a bar are measured."""

    bar: str
    done: int
    total: int


def held_out(recipe: ScoringRecipe, seed: int) -> Iterator[Scene]:
    """The scenes of a set, the styles taking turns."""
    for index in range(recipe.scenes_per_style):
        for style in STYLES:
            yield render(style, scene_seed(seed, index))


class LdmScores:
    """Measures the autoencoder's and the words' bars on the same scenes, in one pass: `run`, then `result`."""

    def __init__(
        self, pipeline: StableDiffusionPipeline, schedule: ScheduleRecipe, recipe: ScoringRecipe
    ) -> None:
        self.pipeline, self.recipe = pipeline, recipe
        networks = TextAndUNet(pipeline.text_encoder, pipeline.unet)
        self.denoiser = PairDenoiser.of(networks, pipeline.tokenizer, schedule)
        self.psnr: dict[str, list[float]] = {style: [] for style in STYLES}
        self.rows: list[dict[str, Any]] = []

    def run(self, seed: int) -> Iterator[Progress]:
        """Score every scene of the set with this seed."""
        total = self.recipe.scenes_per_style * len(STYLES)
        for done, scene in enumerate(held_out(self.recipe, seed), 1):
            z, error = reconstruct(self.pipeline, scene.image)
            self.psnr[scene.style].append(float(10 * np.log10(4 / error)))
            z = z * self.pipeline.vae.config.scaling_factor
            self.rows += ground(self.denoiser, scene, z, self.recipe.timesteps)
            yield Progress("reconstruction and grounding", done, total)

    def result(self) -> Scores:
        """PSNR by style; AP of the noise-difference maps over all, by style and by timestep."""
        psnr = {s: {"mean": float(np.mean(v)), "lowest": float(np.min(v))} for s, v in self.psnr.items()}
        grounding = {"all": summary(self.rows)}
        grounding |= {s: summary([row for row in self.rows if row["style"] == s]) for s in STYLES}
        for timestep in self.recipe.timesteps:
            rows = [row for row in self.rows if row["timestep"] == timestep]
            grounding[f"t={timestep}"] = summary(rows)
        grounding["against another object"] = summary([r for r in self.rows if r["rival"] == "object"])
        return {"psnr": psnr, "grounding": grounding}


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Mean AP of each map, the margin of the right over the other phrase's, and the number of queries."""
    if not rows:
        return {"queries": 0}
    means = {name: float(np.mean([row[name] for row in rows])) for name in GROUNDING_COLUMNS}
    return means | {"margin": means["right"] - means["other"], "queries": len(rows)}


@torch.no_grad()
def reconstruct(pipeline: StableDiffusionPipeline, image: Images) -> tuple[Tensor, float]:
    """The unscaled latent (1, 4, h, w) of an image (H, W, 3), and the mean squared error of its decoding in [-1, 1]."""
    pixels = to_pixels(image[None])
    z = pipeline.vae.encode(pixels).latents
    restored = pipeline.vae.decode(z).sample.clamp(-1, 1)
    return z, float((restored - pixels).square().mean())


def sample_prompts(recipe: ScoringRecipe) -> list[tuple[str, str]]:
    """(prompt, the coloured object it names): one object on a ground before a backdrop; half of them name a style."""
    prompts = []
    for index in range(recipe.sampled_prompts):
        draw = generator("sampled prompt", recipe.classifier_seed, index)
        pair = f"{draw.choice(COLORS)} {draw.choice(OBJECTS)}"
        article = "an" if pair[0] in "aeiou" else "a"
        place = f"on {draw.choice(GROUNDS)} in front of {draw.choice(BACKDROPS)}"
        medium = ("a photo of ", "a cartoon of ", "a sketch of ", "", "", "")[index % 6]
        prompts.append((f"{medium}{article} {pair} {place}", pair))
    return prompts


def sample(
    pipeline: StableDiffusionPipeline, prompts: Sequence[str], recipe: ScoringRecipe
) -> Iterator[Images]:
    """Images uint8 (n, 128, 128, 3), a batch at a time; the noise of prompt i is a function of i."""
    size = pipeline.unet.config.sample_size
    for start in range(0, len(prompts), _BATCH):
        part = list(prompts[start : start + _BATCH])
        draws = [generator("sample", recipe.classifier_seed, start + i) for i in range(len(part))]
        noise = np.stack([draw.standard_normal((4, size, size), dtype=np.float32) for draw in draws])
        images = pipeline(
            part, height=8 * size, width=8 * size, latents=torch.from_numpy(noise), output_type="np",
            num_inference_steps=recipe.sampling_steps, guidance_scale=recipe.guidance,
        ).images  # fmt: skip
        yield np.round(images * 255).astype(np.uint8)


def sample_scores(judge: Judge, images: Images, pairs: Sequence[str]) -> Scores:
    """How often the judge names what the prompt asked for."""
    return agreement(named_pairs(judge, images), pairs)


def judge_scores(judge: Judge, recipe: ScoringRecipe, seed: int) -> Scores:
    """The judge's own ceiling: held-out rendered scenes of one object."""
    scenes = [scene for scene in held_out(recipe, seed) if _is_single(scene)]
    wanted = [f"{r.color} {r.name}" for scene in scenes for r in scene.regions if r.kind == "object"]
    return agreement(named_pairs(judge, np.stack([scene.image for scene in scenes])), wanted)


def _is_single(scene: Scene) -> bool:
    return sum(region.kind == "object" for region in scene.regions) == 1


def save_grid(images: Images, path: Path, *, columns: int = 6, count: int = 24) -> None:
    """The first images as one picture, to be looked at."""
    shown = images[:count]
    rows = [np.concatenate(list(shown[i : i + columns]), axis=1) for i in range(0, len(shown), columns)]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(rows)).save(path)


def bars(scores: Scores, recipe: ScoringRecipe) -> dict[str, dict[str, Any]]:
    """Each bar with what was reached, and whether that is enough."""
    psnr = scores["psnr"]
    mean, lowest = min(v["mean"] for v in psnr.values()), min(v["lowest"] for v in psnr.values())
    margin, named = scores["grounding"]["all"]["margin"], scores["samples"]["both"]
    table = {
        "mean PSNR of the worst style, dB": (recipe.least_psnr, mean),
        "PSNR of the worst scene, dB": (recipe.lowest_psnr, lowest),
        "AP of the right phrase's map over another's": (recipe.least_margin, margin),
        "samples whose object and colour are named": (recipe.least_named, named),
    }
    return {name: {"bar": bar, "reached": got, "met": got >= bar} for name, (bar, got) in table.items()}
