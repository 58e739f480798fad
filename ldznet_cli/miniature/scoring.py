"""The bars: what a built miniature is held to, measured on held-out scenes and written as plain data."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from torch import Tensor

from ldznet_cli.miniature.autoencoder import to_pixels
from ldznet_cli.miniature.data import Images
from ldznet_cli.miniature.events import BuildEvent
from ldznet_cli.miniature.grounding import ground
from ldznet_cli.miniature.judge import Judge, agreement, named_pairs
from ldznet_cli.miniature.judge_training import has_one_object
from ldznet_cli.miniature.ldm_recipe import ScheduleRecipe
from ldznet_cli.miniature.pipeline import PairDenoiser
from ldznet_cli.miniature.pretraining import TextAndUNet
from ldznet_cli.miniature.recipe import ScoringRecipe
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


Measuring = Generator[BuildEvent, None, Scores]


def held_out(recipe: ScoringRecipe, seed: int) -> Iterator[Scene]:
    """The scenes of a set, the styles taking turns."""
    for index in range(recipe.scenes_per_style):
        for style in STYLES:
            yield render(style, scene_seed(seed, index))


def psnr_scores(pipeline: StableDiffusionPipeline, recipe: ScoringRecipe, seed: int) -> Measuring:
    """PSNR in dB of the first stage by style, the mean and the lowest over the scenes of the set with this seed."""
    found: dict[str, list[float]] = {style: [] for style in STYLES}
    total = recipe.scenes_per_style * len(STYLES)
    for done, scene in enumerate(held_out(recipe, seed), 1):
        _, error = reconstruct(pipeline, scene.image)
        found[scene.style].append(float(10 * np.log10(4 / error)))
        yield BuildEvent("reconstruction", done, total)
    return {style: {"mean": float(np.mean(v)), "lowest": float(np.min(v))} for style, v in found.items()}


def grounding_scores(
    pipeline: StableDiffusionPipeline, schedule: ScheduleRecipe, recipe: ScoringRecipe, seed: int
) -> Measuring:
    """AP of the noise-difference maps on the same scenes: over all, by style and by timestep."""
    networks = TextAndUNet(pipeline.text_encoder, pipeline.unet)
    denoiser = PairDenoiser.of(networks, pipeline.tokenizer, schedule)
    rows: list[dict[str, Any]] = []
    total = recipe.scenes_per_style * len(STYLES)
    for done, scene in enumerate(held_out(recipe, seed), 1):
        z = encode(pipeline, scene.image) * pipeline.vae.config.scaling_factor
        rows += ground(denoiser, scene, z, recipe.timesteps)
        yield BuildEvent("grounding", done, total)
    groups = {"all": rows} | {style: [row for row in rows if row["style"] == style] for style in STYLES}
    groups |= {f"t={t}": [row for row in rows if row["timestep"] == t] for t in recipe.timesteps}
    groups["against another object"] = [row for row in rows if row["rival"] == "object"]
    return {name: summary(group) for name, group in groups.items()}


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Mean AP of each map, the margin of the right over the other phrase's, and the number of queries."""
    if not rows:
        return {"queries": 0}
    means = {name: float(np.mean([row[name] for row in rows])) for name in GROUNDING_COLUMNS}
    return means | {"margin": means["right"] - means["other"], "queries": len(rows)}


@torch.no_grad()
def encode(pipeline: StableDiffusionPipeline, image: Images) -> Tensor:
    """The unscaled latent (1, 4, h, w) of an image (H, W, 3)."""
    z: Tensor = pipeline.vae.encode(to_pixels(image[None])).latents
    return z


@torch.no_grad()
def reconstruct(pipeline: StableDiffusionPipeline, image: Images) -> tuple[Tensor, float]:
    """The image's decoded latent (1, 3, H, W) in [-1, 1], and its mean squared error."""
    restored = pipeline.vae.decode(encode(pipeline, image)).sample.clamp(-1, 1)
    return restored, float((restored - to_pixels(image[None])).square().mean())


def sample_prompts(recipe: ScoringRecipe) -> list[tuple[str, str]]:
    """(prompt, the coloured object it names): one object on a ground before a backdrop; half of them name a style."""
    prompts = []
    for index in range(recipe.sampled_prompts):
        draw = generator("sampled prompt", recipe.sampling_seed, index)
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
        draws = [generator("sample", recipe.sampling_seed, start + i) for i in range(len(part))]
        noise = np.stack([draw.standard_normal((4, size, size), dtype=np.float32) for draw in draws])
        images = pipeline(
            part, height=8 * size, width=8 * size, latents=torch.from_numpy(noise), output_type="np",
            num_inference_steps=recipe.sampling_steps, guidance_scale=recipe.guidance,
        ).images  # fmt: skip
        yield np.round(images * 255).astype(np.uint8)


def sample_scores(judge: Judge, images: Images, pairs: Sequence[str]) -> Scores:
    """How often the judge names what the prompt asked for."""
    return agreement(named_pairs(judge, images), pairs)


def judge_scores(
    judge: Judge, recipe: ScoringRecipe, seed: int, pipeline: StableDiffusionPipeline | None = None
) -> Measuring:
    """The judge's own ceiling: held-out scenes of one object, through the `pipeline`'s autoencoder if one is given."""
    stage, total = (
        "the judge on " + ("reconstructions" if pipeline else "scenes"),
        recipe.scenes_per_style * len(STYLES),
    )
    images, wanted = [], []
    for done, scene in enumerate(held_out(recipe, seed), 1):
        if has_one_object(scene):
            images.append(_restored(pipeline, scene.image) if pipeline else scene.image)
            wanted += [f"{r.color} {r.name}" for r in scene.regions if r.kind == "object"]
        yield BuildEvent(stage, done, total)
    return agreement(named_pairs(judge, np.stack(images)), wanted)


def _restored(pipeline: StableDiffusionPipeline, image: Images) -> Images:
    pixels = reconstruct(pipeline, image)[0][0].permute(1, 2, 0)
    return pixels.add(1).mul(127.5).round().to(torch.uint8).numpy()


def save_grid(images: Images, path: Path) -> None:
    """The first 24 images as one picture, to be looked at."""
    shown = images[:24]
    rows = [np.concatenate(list(shown[i : i + 6]), axis=1) for i in range(0, len(shown), 6)]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(rows)).save(path)


def bars(
    scores: Scores, recipe: ScoringRecipe, nets: Sequence[Mapping[str, Any]] = ()
) -> dict[str, dict[str, Any]]:
    """Each bar with what was reached, and whether that is enough; LD-ZNet's where it is among `nets`."""
    psnr = scores["psnr"]
    mean, lowest = min(v["mean"] for v in psnr.values()), min(v["lowest"] for v in psnr.values())
    margin, named = scores["grounding"]["all"]["margin"], scores["samples"]["both"]
    table = {
        "mean PSNR of the worst style, dB": (recipe.least_psnr, mean),
        "PSNR of the worst scene, dB": (recipe.lowest_psnr, lowest),
        "AP of the right phrase's map over another's": (recipe.least_margin, margin),
        "samples whose object and colour are named": (recipe.least_named, named),
    }
    for net in nets:
        if net["kind"] == "ldznet":
            [style] = net["styles"]
            reached = 100 * net["held_out"][style]["object"]["mIoU"]
            table[f"mean IoU of LD-ZNet's masks of objects on {style}, %"] = (recipe.least_miou, reached)
            told = net["held_out"][style]["presence"]["AUROC"]
            table[f"AUROC of LD-ZNet's presence scores on {style}"] = (recipe.least_auroc, told)
    return {name: {"bar": bar, "reached": got, "met": got >= bar} for name, (bar, got) in table.items()}
