"""The folder that `ldznet train` writes: one training at a time, nothing lost, whatever happened to what is in it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from ldznet_cli.cli import main
from ldznet_cli.samples.lock import LOCK, locked
from tests.training.world import squares

STEPS = 3


@pytest.fixture(scope="module")
def gt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return squares(tmp_path_factory.mktemp("squares") / "set").path


@pytest.fixture(scope="module")
def command(gt: Path, tiny_ldm: Path) -> list[str]:
    return [
        *("train", "--gt", str(gt), "--ldm", str(tiny_ldm), "--size", "64", "--device", "cpu", "--net", "rgbnet"),
        *("--preset", "miniature", "--head-width", "2", "--batch", "4", "--steps", str(STEPS)),
        *("--checkpoint-every", "1", "--keep", "2"),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def finished(command: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "run"
    assert main([*command, "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A finished run, to do things to."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def error(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.strip().splitlines()[-1]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("options", [[], ["--overwrite"]])
def test_one_training_at_a_time(
    command: list[str], run: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(run)
    with locked(run):
        assert main([*command, "--out", str(run), *options]) == 2
        assert files(run).keys() - before.keys() == {LOCK}
    assert f"{run}: another run writes there (process " in error(capsys)
    assert files(run) == before
    assert main([*command, "--out", str(run), *options]) == 0


def test_a_run_is_not_taken_away_for_one_that_cannot_begin(
    command: list[str], run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(run)
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert main([*command, "--out", str(run), "--overwrite", "--track", "wandb"]) == 2
    assert "pip install wandb" in error(capsys)
    assert files(run) == before


def test_checkpoints_that_were_set_aside_are_none(command: list[str], run: Path) -> None:
    newest = run / "checkpoints" / f"step-{STEPS:08d}"
    whole = files(run)["model.safetensors"]
    aside = [newest.with_name(f"{newest.name}.{end}") for end in ("damaged", "bak")]
    for copy in aside:
        shutil.copytree(newest, copy)
    shutil.rmtree(newest)
    assert main([*command, "--out", str(run)]) == 0
    assert newest.exists()
    assert all(copy.exists() for copy in aside)
    assert files(run)["model.safetensors"] == whole


@pytest.mark.parametrize("lost", ["config.json", "model.safetensors", "ema.safetensors"])
@pytest.mark.parametrize("half", [False, True])
def test_best_weights_that_are_gone_are_missed(
    command: list[str], run: Path, lost: str, half: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    content = (run / lost).read_bytes()
    (run / lost).unlink()
    if half:
        (run / lost).write_bytes(content[: len(content) // 2])
    assert main([*command, "--out", str(run)]) == 1
    assert f"{run}: the best weights of this run are not whole" in error(capsys)
    assert main([*command, "--out", str(run), "--overwrite"]) == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"settings": None}, {"settings": []}, {"settings": {}}, {"validations": 3}, {"validations": [{}]},
        {"validations": [{"step": 1, "miou": "all", "threshold": 0.5}]}, {"curve": None}, {"step": "x"},
    ],
    ids=str,
)  # fmt: skip
def test_a_record_that_says_something_else(
    command: list[str], run: Path, changes: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    path = run / "training.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    for asked in ([*command, "--out", str(run)], ["plot", str(run)]):
        assert main(asked) == 1
        told = error(capsys)
        assert str(path) in told
        assert "cannot be read" in told
        assert next(iter(changes)) in told


@pytest.mark.parametrize("changes", [{"step": "x"}, {"validations": None}, {"curve": [3]}], ids=str)
def test_a_checkpoint_that_says_something_else(
    command: list[str], run: Path, changes: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    path = run / "checkpoints" / f"step-{STEPS:08d}" / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    assert main([*command, "--out", str(run)]) == 1
    told = error(capsys)
    assert f"the checkpoint {path.parent} cannot be used: state.json" in told
    assert next(iter(changes)) in told


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--head-width", "3"], "net.head_width is 2 there and 3 here"),
        (["--dtype", "bfloat16"], "dtype is float32 there and bfloat16 here"),
        (["--crop", "0.5"], "views.crop is None there and 0.5 here"),
        (["--init", "random"], "init is ldm there and random here"),
    ],
)
def test_the_setting_that_differs_is_named(
    command: list[str], run: Path, options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--out", str(run), *options]) == 2
    assert told in error(capsys)


def test_what_was_half_written_is_nobody_s(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".ldznet.1-abc.part").write_bytes(b"{")
    assert main([*command, "--out", str(tmp_path / "run")]) == 0


def test_other_hidden_files_are_somebody_s(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run" / ".git").mkdir(parents=True)
    assert main([*command, "--out", str(tmp_path / "run")]) == 2
    assert "is not empty and holds no training run" in error(capsys)


@pytest.mark.parametrize("below", ["", "run"])
def test_a_file_is_no_folder(
    command: list[str], tmp_path: Path, below: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    assert main([*command, "--out", str(file / below)]) == 2
    assert error(capsys) == f"ldznet: error: --out: {file} is a file; name a folder"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--val-images", "elsewhere"], "--val-images elsewhere: of which annotations?"),
        (["--fusion", "concat"], "--fusion concat: --net rgbnet takes no features in"),
        (["--learning-rate", "inf"], "--learning-rate is a positive number, found inf"),
        (["--weight-decay", "inf"], "--weight-decay is a number, 0 or more, found inf"),
    ],
)
def test_what_cannot_be_is_refused(
    command: list[str], tmp_path: Path, options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--out", str(tmp_path / "run"), *options]) == 2
    assert told in error(capsys)
    assert not (tmp_path / "run").exists()


def test_annotations_of_nothing(
    command: list[str], gt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = gt.with_name("empty.json")
    empty.write_text(json.dumps({**json.loads(gt.read_text()), "annotations": []}))
    assert main([*command, "--gt", str(empty), "--out", str(tmp_path / "run")]) == 2
    assert f"{empty} names nothing" in error(capsys)
