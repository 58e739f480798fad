"""The model card: what the miniature is, what it was made with, and how it fares, from recorded numbers only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ldznet_cli.miniature.card_nets import nets_section
from ldznet_cli.miniature.data import save_json
from ldznet_cli.miniature.markdown import table
from ldznet_cli.miniature.measurement import PICTURE, Measurement
from ldznet_cli.miniature.net_scores import recorded_nets
from ldznet_cli.miniature.recipe import Recipe
from ldznet_cli.miniature.scenes import BACKDROPS, COLORS, GROUNDS, OBJECTS, STYLES
from ldznet_cli.miniature.scoring import bars
from ldznet_cli.samples.atomic import write_atomically

CARD, SCORES = "MODEL_CARD.md", "scores.json"

_JUDGED = {
    "samples": "samples",
    "held-out scenes of one object": "judge",
    "the same, through the autoencoder": "reconstructions",
}

_INTRODUCTION = f"""# The miniature world

A complete latent diffusion model of drawn 128x128 scenes, in Stable Diffusion's file formats: an 8x autoencoder
(AutoencoderTiny), a CLIP-format tokenizer with a small CLIPTextModel, and a UNet2DConditionModel with
cross-attention on Stable Diffusion's noise schedule. It was trained on rendered images of {len(STYLES)} styles
({", ".join(STYLES)}) and their captions, from scratch, and never saw a mask. On it stand segmentation nets.

**What it is for:** trying LD-ZNet end to end without gigabytes of weights, and testing the software.
**What it can't do:** anything with real pictures. It knows {len(OBJECTS)} objects, {len(COLORS)} colours,
{len(GROUNDS) + len(BACKDROPS)} kinds of ground and backdrop.

Rebuilt by `make miniature`. Licence: Apache-2.0, as the project; the training data are the project's own drawings.
"""


def publish(
    out: Path, recipe: Recipe, measured: Measurement, provenance: Mapping[str, Any]
) -> dict[str, Any]:
    """Write scores, picture and card of what was measured and of the nets in `out`; returns the bars.

    Raises ModelError when something was not measured.
    """
    scores, nets = measured.result(), recorded_nets(out)
    scores |= {"bars": bars(scores, recipe.scoring, nets), "provenance": dict(provenance)}
    save_json(out / SCORES, scores)
    measured.publish_picture(out)
    write_atomically(out / CARD, card(recipe, scores, nets).encode())
    reached: dict[str, Any] = scores["bars"]
    return reached


def card(recipe: Recipe, scores: Mapping[str, Any], nets: Sequence[Mapping[str, Any]]) -> str:
    """The card's Markdown: bars, scores, the trainings as they were run, every number of the recipe."""
    parts = [
        _INTRODUCTION,
        _bars(scores["bars"], recipe),
        _psnr(scores["psnr"]),
        _grounding(scores["grounding"]),
        _samples(scores),
        *nets_section(nets, recipe.nets, recipe.scoring.least_miou),
        _trainings(scores["provenance"]),
        _settings(recipe),
    ]
    return "\n".join(parts)


def _bars(bars: Mapping[str, Any], recipe: Recipe) -> str:
    rows = [
        (name, f"{entry['bar']:g}", f"{entry['reached']:.3g}", "yes" if entry["met"] else "**no**")
        for name, entry in bars.items()
    ]
    data, nets = recipe.data, recipe.nets
    title = (
        f"## Bars\n\nOn {recipe.scoring.scenes_per_style} held-out scenes a style: set {data.held_out_seed}; training "
        f"used {data.training_seed}. Masks on {nets.held_out_scenes} a style: set {nets.held_out_seed}.\n\n"
    )
    return title + table(("what", "bar", "reached", "met"), rows)


def _psnr(psnr: Mapping[str, Any]) -> str:
    rows = [(style, f"{v['mean']:.2f}", f"{v['lowest']:.2f}") for style, v in psnr.items()]
    return "## Autoencoder\n\n" + table(("style", "mean PSNR, dB", "lowest, dB"), rows)


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
    floors = ("mean map", "centre blob", "row's median")
    return text + table(("scenes", "right phrase", "another phrase", "margin", *floors, "queries"), rows)


def _samples(scores: Mapping[str, Any]) -> str:
    rows = [
        (name, *(f"{100 * scores[key][part]:.1f} %" for part in ("object", "color", "both")))
        for name, key in _JUDGED.items()
    ]
    text = (
        f"## Samples\n\nWhat a small classifier trained on rendered scenes names; the first are in `{PICTURE}`. How "
        "well it knows its own job stands below: scenes as they are drawn, and what the autoencoder makes of them.\n\n"
    )
    return text + table(("images", "object", "colour", "both"), rows)


def _trainings(provenance: Mapping[str, Any]) -> str:
    rows = [
        (name, str(v["steps"]), str(v["samples"]), f"{v['seconds'] / 60:.0f}", str(v["decay_from"]),
         "yes" if v["finished"] else "**no**", f"`{v['weights'][:12]}`")
        for name, v in provenance["trainings"].items()
    ]  # fmt: skip
    header = (
        "training",
        "steps",
        "samples",
        "minutes",
        "decay from step",
        "finished",
        "SHA-256 of the weights",
    )
    text = (
        f"## As it was run\n\nWritten {provenance['written']}, on a machine of {provenance['cores']} CPU cores with "
        f"torch {provenance['torch']}.\n\n"
    )
    notes = "".join(f"- {note}\n" for note in provenance["notes"])
    return text + table(header, rows) + (f"\n{notes}" if notes else "")


def _settings(recipe: Recipe) -> str:
    rows = [(f"`{name}`", f"`{json.dumps(value)}`") for name, value in _leaves(recipe.to_dict())]
    return f"## Every number of the recipe `{recipe.name}`\n\n" + table(("setting", "value"), rows)


def _leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        if isinstance(value, list) and value and isinstance(value[0], Mapping):
            value = {str(index): entry for index, entry in enumerate(value)}
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
