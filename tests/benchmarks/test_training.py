"""The benchmark of training runs from end to end; what docs/training.md shows is what was recorded."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def test_a_run_takes_the_place_of_the_one_like_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import training

    out = tmp_path / "found.json"
    for batch in ("2", "3", "2"):
        command = f"training.py --net znet --steps 1 --batch {batch} --live --out {out}"
        monkeypatch.setattr(sys, "argv", command.split())
        assert training.main() == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [found["batch"] for found in json.loads(out.read_text("utf-8"))] == [3, 2]
    assert set(printed[-1]["seconds"]) == {"input", "forward", "backward", "optimiser"}
    assert 0 < sum(printed[-1]["seconds"].values()) <= printed[-1]["step"] * 1.01


def test_the_document_shows_what_was_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import training

    document = tmp_path / "training.md"
    document.write_text(training.DOC.read_text("utf-8"), "utf-8")
    monkeypatch.setattr(training, "DOC", document)
    training.write_doc(json.loads(training.RESULTS.read_text("utf-8")))
    assert document.read_text("utf-8") == (ROOT / "docs" / "training.md").read_text("utf-8")
