"""docs/cluster.md says what there is: its flags, its table, the arithmetic behind it."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import typer

from ldznet_cli.cli import app, settings

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def costs() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "benchmarks" / "cluster_costs.py"))


def test_every_flag_is_one_of_the_command() -> None:
    commands = dict(settings.leaves(typer.main.get_command(app)))
    known = {
        name
        for command in ("cache-features", "segment")
        for param in commands[command].params
        for name in param.opts
    }
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE.partition("## What it costs")[0]))
    others = {
        "--head",
        "--array",
        "--gpus",
        "--cpus-per-task",
        "--requeue",
        "--dependency",
    }  # Ray's and Slurm's
    assert named - others <= known
    assert {"--engine", "--address", "--workers", "--shard", "--retry-failed", "--dry-run"} <= named


def test_the_table_is_what_was_measured(costs: dict[str, Any]) -> None:
    results = json.loads((ROOT / "benchmarks" / "results" / "features.json").read_text(encoding="utf-8"))
    assert costs["tables"](results) in PAGE


def test_what_a_draw_takes_by_hand(costs: dict[str, Any]) -> None:
    """One second a row: 310,816 s and 71,746 images of half a second, and a minute to start."""
    found = {"image_s": 0.5, "row_s": 1.0, "prompt_s": 0.0}
    seconds = 60 + 71_746 * 0.5 + 310_816 + 8 * (0.5 + 310_816 / 71_746)
    assert costs["hours"](found, 1) == (pytest.approx(seconds / 3600), "devices")
    slow_disk = 310_816 * 1_568_768 / 2e9 / 3600
    assert costs["hours"]({"image_s": 0.0, "row_s": 1e-3, "prompt_s": 0.0}, 64) == (
        pytest.approx(slow_disk), "storage",
    )  # fmt: skip
