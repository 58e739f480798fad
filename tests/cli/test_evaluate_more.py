"""`ldznet evaluate`: comparing, tuning, gates for CI, processes; and what cannot be asked together."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ldznet_cli.cli import main
from ldznet_cli.miniature.bundle import model_folder
from ldznet_cli.nets import digest_of, read_info
from ldznet_cli.nets.manifest import write_info
from ldznet_cli.samples.coco import load_coco
from ldznet_cli.samples.record import Record
from tests.evaluation.world import SAMPLES, changed, records, write_records, write_world


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


@pytest.fixture
def net(gt: Path) -> Path:
    """A net's folder; nothing of its weights is read here."""
    return Path(shutil.copytree(model_folder(), "run"))


def native(*arguments: str) -> int:
    return main(["evaluate", "--gt", "gt.json", "--protocol", "native", *arguments])


def test_compare(made: list[Record], capsys: pytest.CaptureFixture[str]) -> None:
    write_records(Path("less"), made[1:])
    assert native("--compare", "out", "less", "--out", "both.json") == 0
    out, err = capsys.readouterr()
    assert out.startswith("native (version 1), original size: 7 samples, 0 missing in A, 1 in B; in %")
    assert "B - A" in out
    assert "1 of 7 samples have no prediction" in err
    data = json.loads(Path("both.json").read_text())
    assert data["differences"][0]["difference"] < 0
    assert native("--compare", "out", "out", "--json") == 0
    found = json.loads(capsys.readouterr().out)["differences"]
    assert {one["difference"] for one in found if one["a"]["value"] is not None} == {0.0}


def test_workers(made: list[Record], capsys: pytest.CaptureFixture[str]) -> None:
    assert native("--pred", "out", "--json", "--workers", "2") == 0
    two = capsys.readouterr().out
    assert native("--pred", "out", "--json") == 0
    assert capsys.readouterr().out == two


@pytest.mark.parametrize(
    ("gate", "code", "message"),
    [
        ("miou=0.01", 0, ""),
        ("native:IoU_FG:best=0.01", 0, ""),
        ("Pr@0.5:0.5=0", 0, ""),
        ("miou=0.99", 1, ": --fail-under asks for 0.99"),
        ("native:mIoU:0.5=1", 1, "native mIoU at 0.5 is 0."),
        ("AP=0.99", 1, "native AP at every score is 0."),
        ("miou", 2, "--fail-under 'miou': expected a metric and a number from 0 to 1, such as miou=0.5"),
        ("miou=50", 2, "expected a metric and a number from 0 to 1"),
        ("=0.5", 2, "expected a metric and a number from 0 to 1"),
        ("a:b:c=0.5", 2, "expected a metric and a number from 0 to 1"),
        ("miou=nan", 2, "expected a metric and a number from 0 to 1"),
        ("clipseg:miou=0.5", 2, "clipseg is not scored: add --protocol clipseg"),
        ("absent_FPR=0.5", 2, "absent_FPR: it is best at 0"),
        ("niou=0.5", 2, "--fail-under: native has no niou: there are mIoU, IoU_FG, Pr@0.5"),
        ("miou:0.44=0.5", 2, "native has no miou at 0.44"),
    ],
)
def test_fail_under(
    made: list[Record], gate: str, code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert native("--pred", "out", "--quiet", "--fail-under", gate) == code
    out, err = capsys.readouterr()
    assert message in err
    assert err.count("\n") == (code > 0)
    if code < 2:
        assert out.startswith("native")  # the numbers are shown all the same


def test_a_number_that_cannot_be_had_is_below_any_gate(gt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_records(Path("hard"), records(gt, Path("hard"), prob=False))
    assert native("--pred", "hard", "--fail-under", "ap=0") == 1
    assert "native AP at every score is n/a: --fail-under asks for 0" in capsys.readouterr().err


def test_tune_and_never_test_on_the_same(
    made: list[Record], net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The threshold goes into the folder, with what it was chosen on; records of that model carry it on."""
    before = read_info(net)
    write_records(Path("out"), [replace(record, model_digest=digest_of(net)) for record in made])
    assert native("--pred", "out", "--tune-threshold", "--save", "run") == 0
    err = capsys.readouterr().err
    after, digest = read_info(net), load_coco("gt.json").digest
    assert f"run: threshold {after.threshold:g} (before: {before.threshold:g})" in err
    assert after.tuned_on == after.tuning["ground_truth"] == digest
    assert (after.tuning["protocol"], after.tuning["metric"], after.tuning["samples"]) == (
        "native/1",
        "mIoU",
        SAMPLES,
    )
    assert replace(after, threshold=before.threshold, tuning={}) == before
    # What segment would now write is refused here, and taken where something else is the ground truth.
    write_records(Path("new"), [replace(record, tuned_on=after.tuned_on) for record in made])
    assert native("--pred", "new") == 2
    err = capsys.readouterr().err
    assert "new/records.jsonl, line 1: the threshold of net miniature was tuned on gt.json itself" in err
    assert err.count("\n") == 1
    other = json.loads(Path("gt.json").read_text()) | {"info": {"another": "file"}}
    Path("test.json").write_text(json.dumps(other))
    assert main(["evaluate", "--gt", "test.json", "--pred", "new", "--protocol", "native"]) == 0
    # To tune again is no test: with the records of before, and with new ones.
    assert native("--pred", "out", "--tune-threshold", "--save", "run") == 0
    write_records(
        Path("new"), [replace(r, tuned_on=after.tuned_on, model_digest=digest_of(net)) for r in made]
    )
    assert native("--pred", "new", "--tune-threshold", "--save", "run") == 0
    assert read_info(net) == after


def test_what_cannot_be_tuned(made: list[Record], net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (net / "config.json").read_bytes()
    write_records(Path("other"), changed(made, 0, lambda r: replace(r, model_digest="0" * 64)))
    tuning = ["--tune-threshold", "--save", "run"]
    assert native("--pred", "other", *tuning) == 1
    assert "the predictions are of the model 000000000000, run holds" in capsys.readouterr().err
    write_records(Path("hard"), records(Path("gt.json"), Path("hard"), prob=False))
    assert native("--pred", "hard", *tuning) == 1
    assert "7 predictions are hard masks, whose threshold is gone" in capsys.readouterr().err
    assert native("--pred", "out", "--tune-threshold", "--save", "nowhere") == 1
    assert "nowhere" in capsys.readouterr().err
    assert main(["evaluate", "--gt", "gt.json", "--pred", "out", "--protocol", "refcoco", *tuning]) == 2
    assert "refcoco score at one threshold: add --protocol native" in capsys.readouterr().err
    assert (net / "config.json").read_bytes() == before


def test_a_manifest_without_tuning_is_as_it_was(net: Path) -> None:
    """Whoever reads the folders of before, or an older ldznet those that were never tuned, finds nothing new."""
    before = (net / "config.json").read_text()
    write_info(net, read_info(net))
    assert json.loads((net / "config.json").read_text()) == json.loads(before)
    assert "tuning" not in before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pred", "out", "--tune-threshold"], "--tune-threshold and --save RUN go together"),
        (["--pred", "out", "--save", "run"], "--tune-threshold and --save RUN go together"),
        (["--pred", "out", "--compare", "out", "out"], "--compare A B goes without --pred"),
        (["--compare", "out", "out", "--report", "page"], "--compare A B goes without --pred"),
        (["--compare", "out", "out", "--fail-under", "miou=0"], "--compare A B goes without --pred"),
        (["--compare", "-", "-"], "standard input can be only one of the two"),
        (["--compare", "out"], "Option '--compare' requires 2 arguments"),
        (["--compare", "out", "nowhere"], "nowhere does not exist"),
        (["--pred", "out", "--workers", "0"], "Invalid value for '--workers'"),
    ],
)
def test_what_cannot_be_asked_together(
    made: list[Record], arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert native(*arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err
