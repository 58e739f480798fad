"""`ldznet plot`: the picture of a real training, of several, and what is no training."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ldznet_cli.cli import main
from tests.training.world import squares

OPTIONS = ["--net", "znet", "--head-width", "2", "--batch", "4", "--steps", "4", "--validate-every", "2"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_ldm: Path) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    gt = squares(folder / "set").path
    where = ["--gt", str(gt), "--ldm", str(tiny_ldm), "--out", str(folder / "run")]
    assert main(["train", *where, *OPTIONS, "--preset", "miniature", "--device", "cpu"]) == 0
    return folder / "run"


def changed(run: Path, folder: Path, **values: object) -> Path:
    """A copy of the run's record, with other values."""
    folder.mkdir(parents=True)
    record = json.loads((run / "training.json").read_text())
    (folder / "training.json").write_text(json.dumps(record | values))
    return folder


def test_a_training_is_drawn_into_its_own_folder(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", str(run)]) == 0
    printed, said = capsys.readouterr()
    assert printed == ""
    assert said == f"ldznet: {run / 'training.png'}: run\n"
    first = (run / "training.png").read_bytes()
    assert np.asarray(Image.open(io.BytesIO(first)).convert("L")).std() > 5
    assert main(["plot", str(run), "-q"]) == 0
    assert (run / "training.png").read_bytes() == first
    assert main(["plot", str(run), "--over", "samples", "-q"]) == 0
    assert (run / "training.png").read_bytes() != first


def test_a_run_s_name_is_no_mathematics(run: Path, tmp_path: Path) -> None:
    assert main(["plot", str(changed(run, tmp_path / "a$b_$")), "-q"]) == 0


def test_runs_of_the_same_name_are_told_apart(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, out = changed(run, tmp_path / "again" / "run", seconds=600.0), tmp_path / "both.png"
    assert main(["plot", str(run), str(other), str(run), "--over", "minutes", "--out", str(out)]) == 0
    assert capsys.readouterr().err == f"ldznet: {out}: {run}, {other}\n"
    assert out.is_file()


def test_what_is_no_training_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plot", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"ldznet: error: {tmp_path}: no training run: expected a folder that `ldznet train` wrote\n"
    )
    young = changed(run, tmp_path / "young", validations=[], step=1)
    assert main(["plot", str(run), str(young)]) == 4
    assert "nothing was validated yet: draw it after 2 steps" in capsys.readouterr().err
    assert not (young / "training.png").exists()
    torn = shutil.copytree(young, tmp_path / "torn")
    (torn / "training.json").write_text('{"format": ')
    assert main(["plot", str(torn)]) == 1
    assert "training.json cannot be read" in capsys.readouterr().err
