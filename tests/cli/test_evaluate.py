"""`ldznet evaluate` as it is used: in a pipe, over folders, with what goes wrong in one line and an exit code."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ldznet_cli.cli import main
from ldznet_cli.samples.record import Record, to_json
from tests.evaluation.world import SAMPLES, records, renamed, write_records, write_world


@pytest.fixture
def gt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ground truth, the working folder being its own."""
    monkeypatch.chdir(tmp_path)
    return write_world(tmp_path)


@pytest.fixture
def made(gt: Path) -> list[Record]:
    """A record of every sample, and their folder `out`."""
    found = records(gt, Path("out"))
    write_records(Path("out"), found)
    return found


def piped(*arguments: str, lines: str | bytes) -> subprocess.CompletedProcess[str]:
    """`ldznet evaluate` as a process of its own, with `lines` on its standard input."""
    given = lines.encode() if isinstance(lines, str) else lines
    run = subprocess.run(
        [sys.executable, "-m", "ldznet_cli", "evaluate", *arguments],
        input=given,
        capture_output=True,
        check=False,
    )
    return subprocess.CompletedProcess(run.args, run.returncode, run.stdout.decode(), run.stderr.decode())


def test_a_pipe_of_records(gt: Path, made: list[Record]) -> None:
    lines = "".join(to_json(record) + "\n" for record in made)
    table = piped("--gt", "gt.json", lines=lines)
    assert table.returncode == 0, table.stderr
    assert table.stdout.startswith("clipseg (version 1), 384x384: 7 samples, 0 missing")
    assert "native (version 1), original size: 7 samples" in table.stdout
    data = piped("--gt", "gt.json", "--pred", "-", "--json", lines=lines)
    assert json.loads(data.stdout)["predictions"]["source"] == "standard input"
    assert len(json.loads(data.stdout)["scores"]) > 40


def test_the_reader_of_the_table_may_go_away(gt: Path, made: list[Record]) -> None:
    """`ldznet evaluate … | head -1` ends without a word, as `head` wants it."""
    code = f"{sys.executable} -m ldznet_cli evaluate --gt gt.json --pred out --quiet | head -1"
    run = subprocess.run(code, shell=True, capture_output=True, text=True, check=False)
    assert run.stdout.startswith("clipseg")
    assert run.stderr == ""


def test_a_folder(gt: Path, made: list[Record], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--gt", "gt.json", "--pred", "out", "--protocol", "native"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("native (version 1)")
    assert "clipseg" not in out
    assert "16 pixels of ignored regions were left out" in err
    assert "warning" not in err


def test_all_options(gt: Path, made: list[Record], capsys: pytest.CaptureFixture[str]) -> None:
    Path("groups.json").write_text('{"plant": [2, 3]}')
    found = [replace(record, label="plant") for record in made]
    write_records(Path("out"), found)
    arguments = [
        "--gt",
        "gt.json",
        "--images",
        "images",
        "--groups",
        "groups.json",
        "--pred",
        "out/records.jsonl",
    ]
    more = [
        "--protocol",
        "clipseg",
        "--protocol",
        "refcoco",
        "--clipseg-size",
        "64",
        "--per-annotation",
        "--seed",
        "3",
    ]
    assert main(["evaluate", *arguments, *more, "--json", "--out", "reports/one.json", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    data = json.loads(out)
    assert data == json.loads(Path("reports/one.json").read_text())
    assert data["ground_truth"]["per_annotation"] is True
    assert data["ground_truth"]["groups_sha256"]
    assert {(score["protocol"], score["size"]) for score in data["scores"]} == {
        ("clipseg", 64),
        ("refcoco", 480),
    }


def test_what_is_missing_strange_or_twice_is_said(
    gt: Path, made: list[Record], capsys: pytest.CaptureFixture[str]
) -> None:
    stranger = replace(made[0], phrase="giraffe", label="giraffe")
    write_records(Path("out"), [*made[1:], made[1], stranger])
    assert main(["evaluate", "--gt", "gt.json", "--pred", "out/records.jsonl"]) == 0
    err = capsys.readouterr().err
    assert "warning: 1 of 7 samples have no prediction and count as empty" in err
    assert "warning: 1 of 8 predictions were not scored: phrase not in the ground truth of its image" in err
    assert "warning: 1 predictions came twice: the first was scored" in err
    assert "geometry of these predictions: 6 aligned 128" in err


def test_predictions_that_cannot_be_used_are_an_exit_code(
    gt: Path, made: list[Record], capsys: pytest.CaptureFixture[str]
) -> None:
    Path(made[0].prob or "").unlink()
    assert main(["evaluate", "--gt", "gt.json", "--pred", "out"]) == 3
    out, err = capsys.readouterr()
    assert f"{SAMPLES} samples, 1 missing" in out
    assert "ldznet: error: 1 of 7 predictions could not be used and count as missing; the first:" in err
    assert "does not exist" in err


@pytest.mark.parametrize(
    ("lines", "code", "message"),
    [
        ("", 4, "standard input: no predictions: expected what `ldznet segment` gives"),
        ("\n\n", 4, "standard input: no predictions"),
        ("hello\n", 1, "standard input, line 1: not a line of JSON"),
        ('{"a": 1}\n', 1, "standard input, line 1: schema is None: expected 'ldznet.record/1'"),
        (b"\x89PNG\r\n\x1a\n", 1, "standard input, line 1: not UTF-8 text"),
    ],
    ids=["empty", "blank", "text", "other JSON", "binary"],
)
def test_what_is_not_records(
    gt: Path,
    lines: str | bytes,
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = io.BytesIO(lines.encode() if isinstance(lines, str) else lines)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(given))
    assert main(["evaluate", "--gt", "gt.json"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"ldznet: error: {message}")
    assert err.count("\n") == 1


def test_a_line_that_was_cut_off(gt: Path, made: list[Record]) -> None:
    lines = "".join(to_json(record) + "\n" for record in made)
    run = piped("--gt", "gt.json", lines=lines[:-100])
    assert run.returncode == 1
    assert run.stderr.startswith("ldznet: error: standard input, line 7: not a line of JSON")


def test_records_of_other_images(gt: Path, made: list[Record], capsys: pytest.CaptureFixture[str]) -> None:
    strangers = [renamed(one, name=f"x{number}.png", sha256="0" * 64) for number, one in enumerate(made)]
    write_records(Path("out"), strangers)
    assert main(["evaluate", "--gt", "gt.json", "--pred", "out"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "out/records.jsonl: none of 7 predictions fits gt.json" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "no ground truth: name it with --gt annotations.json"),
        (
            ["--gt", "nowhere.json", "--pred", "out"],
            2,
            "nowhere.json: cannot be read (No such file or directory)",
        ),
        (["--gt", "gt.json", "--pred", "nowhere"], 2, "nowhere does not exist"),
        (
            ["--gt", "gt.json", "--pred", "images/cartoon"],
            1,
            "images/cartoon: none of 1 predictions fits gt.json",
        ),
        (["--gt", "gt.json", "--pred", "out", "--protocol", "coco"], 2, "unknown protocol 'coco'"),
        (["--gt", "gt.json", "--pred", "out", "--images", "nowhere"], 2, "nowhere: no such folder"),
        (
            ["--gt", "gt.json", "--pred", "out", "--clipseg-size", "3"],
            2,
            "Invalid value for '--clipseg-size'",
        ),
        (["--gt", "out/records.jsonl", "--pred", "out"], 1, "out/records.jsonl: not JSON"),
    ],
)
def test_wrong_arguments(
    arguments: list[str], code: int, message: str, made: list[Record], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"ldznet: error: {message}")
    assert err.count("\n") == 1


def test_nothing_piped_on_a_terminal(
    gt: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    assert main(["evaluate", "--gt", "gt.json"]) == 2
    assert "no predictions: pipe `ldznet segment` into this command" in capsys.readouterr().err


def test_defaults_come_from_the_settings_file(
    gt: Path, made: list[Record], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("ldznet.toml").write_text('gt = "gt.json"\n[evaluate]\npred = "out"\nprotocol = ["phrasecut"]\n')
    assert main(["evaluate"]) == 0
    assert capsys.readouterr().out.startswith("phrasecut (version 1), original size: 7 samples")
