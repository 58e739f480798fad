"""The model card: what the miniature is, what it was made with, and how it fares, from recorded numbers only."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ldznet_cli.miniature.recipe import Recipe

_INTRODUCTION = """# The miniature latent diffusion model

A complete latent diffusion model of drawn 128x128 scenes, in Stable Diffusion's file formats: an 8x autoencoder
(AutoencoderTiny), a CLIP-format tokenizer with a small CLIPTextModel, and a UNet2DConditionModel with
cross-attention on Stable Diffusion's noise schedule. It was trained on rendered images of three styles (photo,
cartoon, sketch) and their captions, from scratch, and never saw a mask.

**What it is for:** trying LD-ZNet end to end without gigabytes of weights, and testing the software.
**What it can't do:** anything with real pictures. It knows 14 objects, 9 colours, 15 kinds of ground and backdrop.

Rebuilt by `make miniature`. Licence: Apache-2.0, as the project; the training data are the project's own drawings.
"""


def write_card(path: Path, recipe: Recipe, scores: Mapping[str, Any]) -> None:
    """Write MODEL_CARD.md under another name and rename it."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(card(recipe, scores), "utf-8")
    os.replace(temporary, path)


def card(recipe: Recipe, scores: Mapping[str, Any]) -> str:
    """The card's Markdown: bars, scores, the trainings as they were run, every number of the recipe."""
    parts = [
        _INTRODUCTION,
        _bars(scores["bars"], recipe),
        _psnr(scores["psnr"]),
        _grounding(scores["grounding"]),
    ]
    parts += [_samples(scores), _trainings(scores["provenance"]), _settings(recipe)]
    return "\n".join(parts)


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _bars(bars: Mapping[str, Any], recipe: Recipe) -> str:
    rows = [
        (name, f"{entry['bar']:g}", f"{entry['reached']:.3g}", "yes" if entry["met"] else "**no**")
        for name, entry in bars.items()
    ]
    seed, count = recipe.data.held_out_seed, recipe.scoring.scenes_per_style
    title = f"## Bars\n\nOn {count} held-out scenes a style: set {seed}; training used {recipe.data.training_seed}.\n\n"
    return title + _table(("what", "bar", "reached", "met"), rows)


def _psnr(psnr: Mapping[str, Any]) -> str:
    rows = [(style, f"{v['mean']:.2f}", f"{v['lowest']:.2f}") for style, v in psnr.items()]
    return "## Autoencoder\n\n" + _table(("style", "mean PSNR, dB", "lowest, dB"), rows)


def _grounding(grounding: Mapping[str, Any]) -> str:
    names = ("right", "other", "margin", "mean", "centre", "row")
    rows = [
        (group, *(f"{v[name]:.3f}" for name in names), str(v["queries"]))
        for group, v in grounding.items()
        if v["queries"]
    ]
    text = (
        "## Does it know where its words are?\n\nPixel AP of the noise-difference map against the mask of an object "
        "phrase: of the right phrase, of another phrase of the same image (another object's where there is one), and "
        "floors that know no phrase: the mean of all phrases' maps, a blob in the centre, the colour distance from "
        "the row's median.\n\n"
    )
    header = (
        "scenes",
        "right phrase",
        "another phrase",
        "margin",
        "mean map",
        "centre blob",
        "row's median",
        "queries",
    )
    return text + _table(header, rows)


def _samples(scores: Mapping[str, Any]) -> str:
    rows = [
        (name, *(f"{100 * scores[key][part]:.1f} %" for part in ("object", "color", "both")))
        for name, key in (
            ("samples", "samples"),
            ("held-out scenes of one object", "judge on rendered scenes"),
        )
    ]
    text = "## Samples\n\nWhat a classifier trained on rendered scenes names; 24 of them are in `samples.png`.\n\n"
    return text + _table(("images", "object", "colour", "both"), rows)


def _trainings(provenance: Mapping[str, Any]) -> str:
    rows = [
        (name, str(v["steps"]), str(v["samples"]), f"{v['seconds'] / 60:.0f}", str(v["decay_from"]),
         "yes" if v["finished"] else "no")
        for name, v in provenance["trainings"].items()
    ]  # fmt: skip
    text = f"## As it was run\n\nOn two CPU cores, torch {provenance['torch']}; written {provenance['written']}.\n\n"
    return text + _table(("training", "steps", "samples", "minutes", "decay from step", "finished"), rows)


def _settings(recipe: Recipe) -> str:
    rows = [(f"`{name}`", f"`{value}`") for name, value in _leaves(recipe.to_dict())]
    return f"## Every number of the recipe `{recipe.name}`\n\n" + _table(("setting", "value"), rows)


def _leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
