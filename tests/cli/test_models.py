"""From names to folders and devices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ldznet_cli.cli import models
from ldznet_cli.errors import ModelError, UsageError, WeightsUnavailable
from ldznet_cli.miniature import bundle


@pytest.fixture(autouse=True)
def bundled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "ldm_folder", lambda: Path("/bundle/ldm"))
    monkeypatch.setattr(bundle, "model_folder", lambda: Path("/bundle/ldznet"))


def test_an_ldm_is_the_bundled_one_by_name_only() -> None:
    assert models.resolve_ldm("miniature") == Path("/bundle/ldm")
    assert models.resolve_ldm("CompVis/stable-diffusion-v1-4") == "CompVis/stable-diffusion-v1-4"


def test_without_a_model_the_bundled_one_is_used_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert models.resolve_model(None) == Path("/bundle/ldznet")
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "drawn scenes only" in line
    assert "--predictor clipseg" in line
    assert "ldznet weights import" in line


def test_the_bundled_model_by_name_needs_no_notice(capsys: pytest.CaptureFixture[str]) -> None:
    assert models.resolve_model("miniature") == Path("/bundle/ldznet")
    assert capsys.readouterr().err == ""


def test_a_model_is_a_folder(tmp_path: Path) -> None:
    assert models.resolve_model(str(tmp_path)) == tmp_path
    with pytest.raises(WeightsUnavailable, match="--model: no folder nowhere"):
        models.resolve_model("nowhere")


def test_devices() -> None:
    assert models.resolve_device("cpu") == "cpu"
    assert models.resolve_device("auto") in {"cpu", "cuda"}
    for name in ("cuda:99", "teapot"):
        with pytest.raises(UsageError, match=f"--device {name} cannot be used here"):
            models.resolve_device(name)


@pytest.mark.parametrize(
    ("widths", "preset"),
    [([48, 96], "miniature"), ([320, 640, 1280, 1280], "paper"), (None, "paper"), (["x"], "paper")],
)
def test_the_preset_that_fits_is_seen_by_the_unet_s_width(
    tmp_path: Path, widths: object, preset: str
) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text(json.dumps({"block_out_channels": widths}))
    assert models.preset_of(str(tmp_path)) == preset
    assert models.preset_of("miniature") == "miniature"
    assert models.preset_of("CompVis/stable-diffusion-v1-4") == "paper"
    (tmp_path / "unet" / "config.json").write_text("{")
    with pytest.raises(ModelError, match="not readable as JSON"):
        models.preset_of(str(tmp_path))
