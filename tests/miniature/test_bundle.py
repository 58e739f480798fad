"""The weights in the package: there, small enough, and of the recipe's shape."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ldznet_cli.errors import WeightsUnavailable
from ldznet_cli.ldm.frozen import FrozenLDM
from ldznet_cli.miniature import bundle
from ldznet_cli.miniature.recipe import official


def bundled() -> list[Path]:
    return [path for path in bundle.weights_folder().rglob("*") if path.is_file()]


def test_the_bundle_keeps_its_limits() -> None:
    sizes = [path.stat().st_size for path in bundled()]
    assert max(sizes) < 16 * 2**20
    assert sum(sizes) <= 32 * 2**20


def test_no_pickle_is_bundled() -> None:
    assert {path.suffix for path in bundled()} <= {".json", ".jsonl", ".md", ".png", ".safetensors", ".txt"}


def test_the_bundled_ldm_loads_and_has_the_recipes_shape() -> None:
    ldm, recipe = FrozenLDM.load(bundle.ldm_folder()), official().pretraining
    assert tuple(ldm.unet_config["block_out_channels"]) == recipe.unet.channels
    assert ldm.text_length == recipe.text.length
    assert ldm.default_size == 128
    assert len(ldm.blocks) == 5


def test_what_was_run_is_recorded_beside_it() -> None:
    record = json.loads((bundle.ldm_folder() / "training.json").read_text("utf-8"))
    assert record["trainings"]["ldm"]["samples"] > 0


def test_a_missing_bundle_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "_WEIGHTS", tmp_path)
    for find in (bundle.ldm_folder, bundle.model_folder):
        with pytest.raises(WeightsUnavailable, match="run `make miniature`"):
            find()
