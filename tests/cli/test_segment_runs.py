"""Long runs of `ldznet segment`: failures retried or too many, a dry run, what is said and what is not."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ldznet_cli.cli import main
from ldznet_cli.inference import ColourPredictor, ProbMap
from ldznet_cli.samples.lock import locked

PREDICTORS = importlib.import_module("ldznet_cli.cli.predictors")
SEGMENT = importlib.import_module("ldznet_cli.cli.segment")
Capture = pytest.CaptureFixture[str]
ASKED = ("segment", "in", "--prompt", "red")


class Small(ColourPredictor):
    """Out of memory with more than one phrase at once."""

    batch = 4

    def predict(self, image: Image.Image, sha256: str, phrases: Sequence[str]) -> list[ProbMap]:
        if type(self).batch > 1:
            raise MemoryError
        return super().predict(image, sha256, phrases)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six red pictures, of which 1, 3 and 4 are damaged."""
    (tmp_path / "in").mkdir()
    for number in range(6):
        path = tmp_path / "in" / f"{number}.png"
        Image.new("RGB", (30, 20), "red").save(path)
        if number in (1, 3, 4):
            path.with_suffix(".whole").write_bytes(path.read_bytes())
            path.write_bytes(path.read_bytes()[:50])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(PREDICTORS, "_net", lambda *_: ColourPredictor())
    return tmp_path


def repair(number: int) -> None:
    Path("in", f"{number}.whole").replace(Path("in", f"{number}.png"))


def run(capsys: Capture, code: int, *arguments: str) -> tuple[list[Any], str]:
    found = main([*ASKED, *arguments])
    out, err = capsys.readouterr()
    assert found == code, err
    return [json.loads(line) for line in out.splitlines()], err


def summary(name: str = "run.json") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("ldznet-out", name).read_text())
    return found


def test_only_what_failed(capsys: Capture) -> None:
    run(capsys, 3)
    assert (summary()["images"], summary()["masks"], summary()["failed"]) == (6, 3, 3)
    repair(1)
    repair(3)
    records, err = run(capsys, 3, "--retry-failed")
    assert [(r["image"]["name"], r["error"] is None) for r in records] == [
        ("1.png", True),
        ("3.png", True),
        ("4.png", False),
    ]
    assert "1 of 3 images failed" in err
    assert (summary()["images"], summary()["masks"], summary()["failed"]) == (6, 5, 1)
    told = [json.loads(line) for line in Path("ldznet-out/records.jsonl").read_text().splitlines()]
    assert [r["image"]["name"] for r in told] == [f"{number}.png" for number in range(6)]
    repair(4)
    run(capsys, 0, "--retry-failed")
    assert not Path("ldznet-out/failed.jsonl").exists()
    _, err = run(capsys, 4, "--retry-failed")
    assert "nothing has failed in ldznet-out" in err


def test_what_failed_with_other_settings_is_not_mixed_in(capsys: Capture) -> None:
    run(capsys, 3)
    before = Path("ldznet-out/records.jsonl").read_bytes()
    _, err = run(capsys, 2, "--retry-failed", "--threshold", "0.9")
    assert "failed with other settings" in err
    assert Path("ldznet-out/records.jsonl").read_bytes() == before


def test_too_many_failures_end_it(capsys: Capture) -> None:
    records, err = run(capsys, 3, "--max-errors", "2")
    assert [r["image"]["name"] for r in records] == [f"{number}.png" for number in range(4)]
    last = err.splitlines()[-1]
    assert "stopped after 2 failed images (--max-errors), 4 of 6 masks are in ldznet-out" in last
    assert not Path("ldznet-out/run.json").exists()
    _, err = run(capsys, 3, "--max-errors", "4")
    assert "3 of 6 images failed" in err


def test_overwrite_makes_it_anew(capsys: Capture) -> None:
    for number in (1, 3, 4):
        repair(number)
    run(capsys, 0)
    path = Path("ldznet-out/0/red.png")
    made = path.stat().st_mtime_ns
    run(capsys, 0)
    assert path.stat().st_mtime_ns == made
    run(capsys, 0, "--overwrite")
    assert path.stat().st_mtime_ns > made


def test_a_dry_run_writes_nothing_and_loads_nothing(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PREDICTORS, "_net", lambda *_: pytest.fail("a model was loaded"))
    rows, err = run(capsys, 0, "--dry-run", "--prompt", "blue|navy", "--format", "mask,yolo")
    assert not Path("ldznet-out").exists()
    assert len(rows) == 12
    assert rows[1] == {
        "image": "in/0.png",
        "phrase": "blue|navy",
        "label": "blue",
        "files": {"mask": "ldznet-out/0/blue.png", "yolo": "ldznet-out/yolo/labels/0.txt"},
    }
    assert "12 masks of 6 images would go to ldznet-out; the files of 0 are there already" in err
    Image.new("RGB", (3, 3)).save("in/0.webp")
    _, err = run(capsys, 2, "--dry-run")
    assert "would both be" in err


def test_a_dry_run_s_summary(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    run(capsys, 3)
    (found,), _ = run(capsys, 0, "--dry-run", "--json")
    assert found == {
        "out": "ldznet-out",
        "images": 6,
        "masks": 6,
        "files_there": 3,
        "formats": ["prob", "overlay", "mask"],
        "files": [f"ldznet-out/{name}" for name in ("records.jsonl", "failed.jsonl", "run.json")],
    }


def test_out_of_memory_halves_the_batch_and_says_so(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 3, 4):
        repair(number)

    class Careful(Small):
        def __setattr__(self, name: str, value: Any) -> None:
            assert name == "batch"
            setattr(Small, name, value)

    monkeypatch.setattr(PREDICTORS, "_net", lambda *_: Careful())
    _, err = run(capsys, 0)
    assert "out of memory with --batch 4: going on with --batch 2" in err
    assert "out of memory with --batch 2: going on with --batch 1" in err


def test_out_of_memory_with_the_noise_s_change(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks for one phrase at a time as it is."""

    class Large(ColourPredictor):
        def predict(self, *_: Any) -> list[ProbMap]:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(PREDICTORS, "_noise_difference", lambda *_: Large())
    _, err = run(capsys, 1, "--predictor", "noise-difference")
    assert "out of memory with one phrase at a time (CUDA out of memory" in err


def test_out_of_memory_when_weights_are_loaded(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(PREDICTORS, "_net", load)
    _, err = run(capsys, 1)
    assert "ldznet: error: out of memory (CUDA out of memory. Tried to allocate 2 GiB): end other" in err


def test_what_failed_is_retried_of_a_run_that_was_killed(capsys: Capture) -> None:
    run(capsys, 3)
    Path("ldznet-out/failed.jsonl").unlink()
    Path("ldznet-out/run.json").unlink()
    repair(1)
    records, _ = run(capsys, 3, "--retry-failed")
    assert [r["image"]["name"] for r in records] == ["1.png", "3.png", "4.png"]


def test_what_failed_is_not_among_the_images(capsys: Capture) -> None:
    run(capsys, 3)
    before = {path: path.read_bytes() for path in Path("ldznet-out").rglob("*.*")}
    assert main(["segment", "in/0.png", "--prompt", "red", "--retry-failed"]) == 4
    assert "what failed in ldznet-out is not among these images" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in Path("ldznet-out").rglob("*.*")} == before


def test_a_second_run_in_one_folder_is_refused(capsys: Capture) -> None:
    with locked(Path("ldznet-out")):
        records, err = run(capsys, 2)
    assert records == []
    assert "error: ldznet-out: another run writes there (process " in err
    assert "another --out" in err
    with locked(Path("ldznet-out")):
        run(capsys, 0, "--dry-run")


def test_a_mistyped_setting_takes_nothing_away(capsys: Capture) -> None:
    for number in (1, 3, 4):
        repair(number)
    run(capsys, 0)
    before = {path: path.read_bytes() for path in Path("ldznet-out").rglob("*.*")}
    run(capsys, 2, "--threshold", "0.9", "--prompt", " ")
    run(capsys, 2, "--threshold", "0.9", "--predictor", "category-mean")
    assert {path: path.read_bytes() for path in Path("ldznet-out").rglob("*.*")} == before
    assert main(["segment", "in/0.png", "--prompt", "red", "--threshold", "0.9"]) == 0
    assert "what is asked for is made anew over them, the others stay" in capsys.readouterr().err
    _, err = run(capsys, 0)
    assert "6 masks of 6 images in ldznet-out, 5 of them there already" in err


def test_images_of_the_same_names_are_not_mixed_up(capsys: Capture) -> None:
    Path("other").mkdir()
    Image.new("RGB", (8, 8), "blue").save("other/0.png")
    run(capsys, 3)
    mask = Path("ldznet-out/0/red.png").read_bytes()
    assert main(["segment", "other", "--prompt", "red"]) == 2
    err = capsys.readouterr().err
    assert "the masks of other/0.png would replace those of in/0.png in ldznet-out" in err
    assert Path("ldznet-out/0/red.png").read_bytes() == mask
    assert main(["segment", "other", "--prompt", "red", "--overwrite"]) == 0


def test_an_overwriting_run_that_was_stopped_goes_on_without(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 3, 4):
        repair(number)
    run(capsys, 0)
    with monkeypatch.context() as stopped:
        stopped.setattr(SEGMENT, "stop_on_interrupt", lambda: nullcontext(lambda: True))
        records, err = run(capsys, 130, "--overwrite")
    assert len(records) == 1
    assert "the same command without --overwrite makes the rest" in err
    _, err = run(capsys, 0)
    assert "6 masks of 6 images in ldznet-out, 1 of them there already" in err


def test_a_device_that_is_not_there_is_refused(capsys: Capture) -> None:
    _, err = run(capsys, 2, "--device", "cuda:77")
    assert "--device cuda:77 cannot be used here" in err
    assert not Path("ldznet-out").exists()


def test_the_output_holds_no_colour(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("ldznet_cli.cli.segment_report._on_a_terminal", lambda: True)
    assert main([*ASKED]) == 3
    out, err = capsys.readouterr()
    assert not re.search(r"\x1b\[[0-9;]*m", out + err)
    assert "0.png" in out


def test_quiet_and_json_leave_one_line(capsys: Capture) -> None:
    (found,), err = run(capsys, 3, "--json", "--quiet")
    assert [entry["image"] for entry in found["failed"]] == ["in/1.png", "in/3.png", "in/4.png"]
    assert (found["images"], found["masks"], found["resumed"]) == (6, 3, 0)
    assert len(err.splitlines()) == 1


def test_every_option_of_the_shape_is_in_the_settings(capsys: Capture) -> None:
    shape = (
        "--pad",
        "2",
        "--feather",
        "1",
        "--invert",
        "--fill-holes",
        "--min-area",
        "3",
        "--min-score",
        "0.2",
    )
    run(capsys, 3, *shape, "--format", "mask,labelmap")
    settings = summary()["settings"]
    assert settings["shaping"] == {"pad": 2, "feather": 1, "invert": True, "fill_holes": True, "min_area": 3}
    assert (settings["min_score"], settings["formats"], settings["classes"]) == (
        0.2,
        ["labelmap", "mask"],
        ["red"],
    )
