"""`ldznet miniature …`: thin commands over the miniature's own functions."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ldznet_cli.cli import main
from ldznet_cli.miniature import build, bundle
from ldznet_cli.miniature.events import BuildEvent


def test_render_writes_images_and_annotations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "scenes"
    assert (
        main(["miniature", "render", "--style", "sketch", "--count", "2", "--seed", "7", "--out", str(out)])
        == 0
    )
    annotations = json.loads((out / "annotations.json").read_text())
    assert len(annotations["images"]) == len(list((out / "images").glob("*.png"))) == 2
    assert all(annotation["phrase"] for annotation in annotations["annotations"])
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("2 scenes in ")


@pytest.mark.parametrize(
    "wrong", [["--style", "oil"], ["--count", "0"], ["--seed", "-1"], ["--workers", "0"]]
)
def test_render_refuses_nonsense(
    wrong: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["miniature", "render", "--out", str(tmp_path / "scenes"), *wrong]) == 2
    line = capsys.readouterr().err
    assert line.startswith(f"ldznet: error: Invalid value for '{wrong[0]}'")
    assert line.count("\n") == 1
    assert not (tmp_path / "scenes").exists()


def test_build_shows_each_stage_and_names_the_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: dict[str, Any] = {}

    def fake(work: Path, out: Path, recipe: Any, **options: Any) -> Iterator[BuildEvent]:
        asked.update(work=work, out=out, recipe=recipe.name, **options)
        yield BuildEvent("scenes", 1, 2)
        yield BuildEvent("scenes", 2, 2, "rendered")
        yield BuildEvent("ldm", 1, 1, "loss 0.1")

    monkeypatch.setattr(build, "build", fake)
    out = tmp_path / "weights"
    command = ["miniature", "build", "--recipe", "tiny", "--work", "w", "--out", str(out), "--workers", "2"]
    assert main(command) == 0
    assert asked.pop("stop")() is False
    assert asked == {"work": Path("w"), "out": out, "recipe": "tiny", "workers": 2, "until": "card"}
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["scenes: rendered", "ldm: loss 0.1"]
    assert lines[2].endswith(str(out / "MODEL_CARD.md"))
    assert main([*command, "--until", "ldm"]) == 0
    assert asked["until"] == "ldm"
    assert capsys.readouterr().err.splitlines()[-1].startswith("done up to ldm; ")


def test_build_stops_on_ctrl_c_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, told = build.build, []

    def pressed(*arguments: Any, **options: Any) -> Iterator[BuildEvent]:
        for event in real(*arguments, **options):
            told.append(event.done)
            if len(told) == 2:
                signal.raise_signal(signal.SIGINT)
            yield event

    monkeypatch.setattr(build, "build", pressed)
    work = tmp_path / "work"
    command = ["miniature", "build", "--recipe", "tiny", "--work", str(work), "--until", "scenes"]
    assert main(command) == 130
    line = "ldznet: error: stopped in scenes; the same command goes on from there\n"
    assert (told, capsys.readouterr().err) == ([3, 6], line)
    written = {path: path.stat().st_mtime_ns for path in (work / "scenes").iterdir()}
    assert len(written) == 4
    assert main(command) == 0
    assert len(told) == 6
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_build_refuses_a_stage_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["miniature", "build", "--until", "dinner"]) == 2
    assert "'dinner' is not one of 'scenes', 'text'" in capsys.readouterr().err


def test_card_prints_the_model_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bundle, "weights_folder", lambda: tmp_path)
    assert main(["miniature", "card"]) == 5
    assert "no model card" in capsys.readouterr().err
    (tmp_path / "MODEL_CARD.md").write_text("# The miniature\n\nbars\n")
    assert main(["miniature", "card"]) == 0
    assert capsys.readouterr().out == "# The miniature\n\nbars\n"


def test_the_group_alone_prints_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["miniature"]) == 0
    assert "render" in capsys.readouterr().out


def test_paper_lists_what_is_missing_of_the_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["miniature", "paper", "--docs", str(tmp_path / "paper"), "--dry-run", "--tier", "1"]) == 0
    said = capsys.readouterr()
    listed = [json.loads(line) for line in said.out.splitlines()]
    assert {entry["tier"] for entry in listed} == {1}
    assert said.err == "0 of 62 runs are done\n"
    assert listed[0] == {"job": "rate-rgbnet-0.00025", "tier": 1, "tested": False}
    assert not list(tmp_path.iterdir())


def test_paper_refuses_an_unknown_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["miniature", "paper", "--docs", str(tmp_path), "--job", "rgbnet-s77"]) == 2
    assert "there is no rgbnet-s77; the jobs are" in capsys.readouterr().err
