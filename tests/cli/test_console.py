"""Data on standard output, talk on standard error."""

from __future__ import annotations

import pytest

from ldznet_cli.cli import building, console
from ldznet_cli.miniature.events import BuildEvent


@pytest.fixture(autouse=True)
def loud() -> None:
    console.set_quiet(False)


def test_data_and_talk_do_not_mix(capsys: pytest.CaptureFixture[str]) -> None:
    console.emit("{}")
    console.say("1 mask")
    console.warn("no --gt")
    shown = capsys.readouterr()
    assert shown.out == "{}\n"
    assert shown.err == "1 mask\nldznet: warning: no --gt\n"


def test_quiet_silences_talk_but_neither_data_nor_errors(capsys: pytest.CaptureFixture[str]) -> None:
    console.set_quiet(True)
    console.say("1 mask")
    console.warn("no --gt")
    console.emit("{}")
    console.error("broken")
    shown = capsys.readouterr()
    assert shown.out == "{}\n"
    assert shown.err == "ldznet: error: broken\n"


def test_a_table_is_plain_text_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    console.table("native", ["metric", "value"], [["mIoU", 52.7], ["AP [exact]", "n/a"]])
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[0] == ["native"]
    assert lines[1] == ["metric", "value"]
    assert lines[-2:] == [["mIoU", "52.7"], ["AP", "[exact]", "n/a"]]


def test_progress_speaks_now_and_then_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = iter([0.0, 10.0, 31.0, 31.0, 31.0, 40.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(now))
    with console.progress(10, "images") as shown:
        shown.note(failed=1)
        shown.advance(2)
        assert capsys.readouterr().err == ""
        shown.advance(3)
        assert capsys.readouterr().err == "5/10 images, 0.16/s, 0:31 left, failed 1\n"
        shown.advance()
    assert capsys.readouterr().err == ""


def test_progress_without_a_total_only_counts(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress(None, "images") as shown:
        shown.advance(3)
        assert shown.line().startswith("3 images, ")
    assert capsys.readouterr().err == ""


def test_a_stage_that_comes_again_with_another_total_counts_anew(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_PLAIN_INTERVAL", 0)
    building.show(BuildEvent("features", done, total) for done, total in ((1, 1), (1, 9), (2, 9)))
    shown = [line.split(",")[0] for line in capsys.readouterr().err.splitlines()]
    assert shown == ["1/1 features", "1/9 features", "2/9 features"]
