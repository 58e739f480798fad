"""What was really run: each training's steps, samples and seconds, and the notes of whoever ran it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ldznet_cli.errors import ModelError
from ldznet_cli.ldm.digests import file_digest
from ldznet_cli.miniature.ldm_recipe import DescentRecipe
from ldznet_cli.miniature.logbook import entries, training_seconds
from ldznet_cli.miniature.recipe import Recipe

NOTES = "provenance.json"
"""In the work folder, by hand: {"notes": ["…"]} on what the numbers do not tell (restarts, another machine)."""


def averaged(training: Path) -> Path:
    """The averaged weights of a training's last checkpoint."""
    return training / "checkpoint" / "ema.safetensors"


def finished(training: Path) -> bool:
    """Whether a training's last checkpoint is that of its last step."""
    note = training / "checkpoint" / "state.json"
    if not note.exists():
        return False
    state = json.loads(note.read_text("utf-8"))
    return int(state["step"]) >= int(state["decay_from"]) + int(state["recipe"]["decay_steps"])


def provenance(work: Path, recipe: Recipe) -> dict[str, Any]:
    """The trainings that a pipeline folder made now holds, with the hashes of their weights.

    A decoder's training counts once it is finished. Raises ModelError for notes that are none.
    """
    trainings = {"autoencoder": recipe.autoencoder.descent, "ldm": recipe.pretraining.descent}
    if finished(work / "decoder"):
        trainings["decoder"] = recipe.decoder.descent
    return {
        "recipe": recipe.name,
        "recipe_digest": recipe.digest(),
        "trainings": {name: as_it_was_run(work / name, descent) for name, descent in trainings.items()},
        "notes": read_notes(work / NOTES),
        "torch": torch.__version__,
        "cores": os.cpu_count(),
        "written": time.strftime("%Y-%m-%d"),
    }


def as_it_was_run(folder: Path, descent: DescentRecipe) -> dict[str, Any]:
    """Steps, samples and seconds of one training, and the hash of its weights."""
    state = json.loads((folder / "checkpoint" / "state.json").read_text("utf-8"))
    return {
        "steps": state["step"],
        "decay_from": state["decay_from"],
        "samples": state["step"] * descent.batch,
        "seconds": round(training_seconds(entries(folder / "log.jsonl"))),
        "finished": finished(folder),
        "weights": file_digest(averaged(folder)),
    }


def read_notes(path: Path) -> list[str]:
    """The notes, none without a file. Raises ModelError when the file holds something else."""
    if not path.exists():
        return []
    try:
        notes = json.loads(path.read_text("utf-8"))["notes"]
        if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
            raise TypeError("not a list of strings")
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f'{path} should hold {{"notes": ["…"]}} ({error}): correct it') from error
    return [str(note) for note in notes]


def same_run(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two provenances tell of the same, whenever and wherever they were written down."""
    told = ("written", "cores", "torch")
    return {k: v for k, v in one.items() if k not in told} == {
        k: v for k, v in other.items() if k not in told
    }
