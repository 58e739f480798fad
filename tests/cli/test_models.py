"""From names to folders and devices."""

from __future__ import annotations

from pathlib import Path

import pytest

from ldznet_cli.cli import models
from ldznet_cli.errors import UsageError, WeightsUnavailable
from ldznet_cli.miniature import bundle


@pytest.fixture(autouse=True)
def bundled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "ldm_folder", lambda: Path("/bundle/ldm"))
    monkeypatch.setattr(bundle, "model_folder", lambda: Path("/bundle/ldznet"))


def test_an_ldm_is_the_bundled_one_by_name_only() -> None:
    assert models.resolve_ldm("miniature") == Path("/bundle/ldm")
    assert models.resolve_ldm("CompVis/stable-diffusion-v1-4") == "CompVis/stable-diffusion-v1-4"


def test_without_a_model_the_bundled_one_is_used_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert models.resolve_model(None) == (Path("/bundle/ldznet"), True)
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "drawn scenes only" in line
    assert "--predictor clipseg" in line
    assert "ldznet weights import" in line


def test_the_bundled_model_by_name_needs_no_notice(capsys: pytest.CaptureFixture[str]) -> None:
    assert models.resolve_model("miniature") == (Path("/bundle/ldznet"), True)
    assert capsys.readouterr().err == ""


def test_a_model_is_a_folder(tmp_path: Path) -> None:
    assert models.resolve_model(str(tmp_path)) == (tmp_path, False)
    with pytest.raises(WeightsUnavailable, match="--model: no folder nowhere"):
        models.resolve_model("nowhere")


def test_devices() -> None:
    assert models.resolve_device("cpu") == "cpu"
    assert models.resolve_device("auto") in {"cpu", "cuda"}
    for name in ("cuda:99", "teapot"):
        with pytest.raises(UsageError, match=f"--device {name} cannot be used here"):
            models.resolve_device(name)
