"""The benchmark of inference runs from end to end at a tiny size; what docs/speed.md shows is what was recorded."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from ldznet_cli.inference.api import load_predictor

ROOT = Path(__file__).parent.parent.parent


def test_a_tiny_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import inference
    import random_sd

    random_sd.random_sd(tmp_path / "sd", random_sd.TINY)
    Image.new("RGB", (80, 60), "olive").save(tmp_path / "photo.png")
    command = f"inference.py --sd {tmp_path}/sd --image {tmp_path}/photo.png --out {tmp_path}/found.json"
    command += " --stages one,cut,many,profile,memory --rounds 1 --phrases 2 --threads 1"
    monkeypatch.setattr(sys, "argv", command.split())
    assert inference.main() == 0
    stages = json.loads((tmp_path / "found.json").read_text("utf-8"))["stages"]
    assert list(stages) == ["one", "cut", "many", "profile", "memory"]
    assert stages["one"]["ratio_cpu"]["ours"] > 0
    assert stages["cut"]["features_equal"] is True
    assert stages["profile"]["float32"]["stages"]["LD-ZNet"]["gflop"] > 0
    assert stages["memory"]["bfloat16"]["peak_mb"] > stages["memory"]["bfloat16"]["weights_mb"]
    assert "| one phrase, float32 | ours " in capsys.readouterr().out


def test_the_plain_pipeline_does_the_same_arithmetic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its noise put in the place of ours."""
    import random_sd
    import torch
    from plain_pipeline import PlainPipeline

    from ldznet_cli.ldm.noise import Draw

    sd, image = tmp_path / "sd", Image.effect_noise((80, 60), 60).convert("RGB")
    random_sd.random_sd(sd, random_sd.TINY)
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(torch, "randn_like", lambda _: noise)
    monkeypatch.setattr(Draw, "noise", lambda self, shape: noise[0])
    ours = load_predictor(sd / "net", sd / "ldm")
    monkeypatch.setattr(type(ours.policies[0]), "draw", lambda self, *_: Draw(400, "a photo of a {}.", b""))
    found = ours.predict(image, "0" * 64, ["dog"])[0].prob
    expected = PlainPipeline(sd).predict(image, "dog")[0, 0].numpy()
    assert abs(found - expected).max() < 1e-2 * expected.std()
    assert expected.std() > 1e-5


def test_the_document_shows_what_was_recorded(tmp_path: Path) -> None:
    from documents import write_block
    from speed_tables import tables

    recorded = json.loads((ROOT / "benchmarks" / "results" / "inference.json").read_text("utf-8"))
    document = (ROOT / "docs" / "speed.md").read_text("utf-8")
    copy = tmp_path / "speed.md"
    copy.write_text(document, "utf-8")
    write_block(copy, "results", tables(recorded))
    assert copy.read_text("utf-8") == document
