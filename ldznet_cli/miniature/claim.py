"""A work folder keeps to the recipe it was begun with: what is there must never pass for another recipe's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ldznet_cli.errors import ModelError
from ldznet_cli.miniature.data import save_json
from ldznet_cli.miniature.recipe import Recipe

NOTE = "recipe.json"

_MADE = {
    "data": ("scenes", "tokenizer", "latents"),
    "autoencoder": ("autoencoder", "latents"),
    "schedule": ("ldm",),
    "pretraining": ("ldm",),
    "decoder": ("decoder",),
    "nets": ("nets",),
}
"""What lies in a work folder because of each part of the recipe."""


def claim(work: Path, recipe: Recipe) -> None:
    """Write down that `work` is this recipe's. Raises ModelError when something in it was made by another one.

    How long the nets are trained is left to their own run folders.
    """
    work.mkdir(parents=True, exist_ok=True)
    own = recipe.to_dict()
    if (work / NOTE).exists():
        found = json.loads((work / NOTE).read_text("utf-8"))
        for part, folders in _MADE.items():
            made = [name for name in folders if (work / name).exists()]
            if made and part in found and _decisive(found[part]) != _decisive(own[part]):
                raise ModelError(
                    f"{work} was begun with another recipe ({part} differs): use another folder, "
                    f"or remove {' and '.join(made)} in it"
                )
    save_json(work / NOTE, own)


def _decisive(part: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name != "nets"}
