"""Images put to predictors by an engine: the same files and records, wherever the predictors are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ldznet_cli.engines import Engine, LocalEngine, RehearsedEngine
from ldznet_cli.errors import ModelError
from ldznet_cli.inference import ColourPredictor, OutputPlan, Task, open_ledger, prompts_of, segment
from ldznet_cli.inference.questions import Asking
from ldznet_cli.samples.listing import list_images
from ldznet_cli.samples.record import Record

PROMPTS = prompts_of(["red", "blue thing=sky", "red|green=either"])


def run(pictures: Path, out: Path, engine: Engine, job: Asking, **options: Any) -> list[Record]:
    tasks = [Task(ref, PROMPTS) for ref in list_images([pictures])]
    ledger = open_ledger(ColourPredictor(), OutputPlan(out, rle=True))
    return list(segment(tasks, ColourPredictor(), ledger, engine=engine, job=job, **options))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_whatever_becomes_of_the_workers(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One image cannot be read, one is done already: both go the same way as the others."""
    (pictures / "b.jpg").write_bytes(b"no image")
    for number in range(8):
        (pictures / f"more-{number}.png").write_bytes((pictures / "a.png").read_bytes())
    made: list[ColourPredictor] = []
    job = Asking(lambda: made.append(ColourPredictor()) or made[-1])
    found = {}
    for name, engine in {"local": LocalEngine(), "rehearsed": RehearsedEngine(lost=(0, 2))}.items():
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)  # records name files as they were asked for
        began = segment(
            [Task(ref, PROMPTS) for ref in list_images([pictures / "deep"])],
            ColourPredictor(),
            open_ledger(ColourPredictor(), OutputPlan(Path("out"), rle=True)),
        )
        assert len(list(began)) == len(PROMPTS)
        before = len(made)
        found[name] = run(pictures, Path("out"), engine, job), files(Path("out"))
        assert len(made) - before == (1 if name == "local" else 4)
    assert found["local"] == found["rehearsed"]
    assert [record.image.name for record in found["local"][0] if record.error] == ["b.jpg"] * len(PROMPTS)


def test_a_stopped_run_leaves_whole_files_and_goes_on(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, engine, out = Asking(ColourPredictor), RehearsedEngine(chunk=1), Path("out")
    found = []
    for name in ("stopped", "whole"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)  # records name files as they were asked for
        if name == "stopped":
            first = run(pictures, out, engine, job, stop=lambda: True)
            assert [record.image.name for record in first] == ["a.png"] * len(PROMPTS)
            assert not (out / "run.json").exists()
        run(pictures, out, engine, job)
        found.append(files(out))
    assert found[0] == found[1]


def test_a_worker_with_other_weights_does_not_begin(pictures: Path, tmp_path: Path) -> None:
    expected = replace(ColourPredictor().identity, model_digest="f" * 64)
    with pytest.raises(ModelError, match=r"other weights on a worker .*expected \('ffff"):
        run(pictures, tmp_path / "out", RehearsedEngine(), Asking(ColourPredictor, expected=expected))


def test_what_a_worker_raises_ends_the_run(pictures: Path, tmp_path: Path) -> None:
    def load() -> ColourPredictor:
        raise ModelError("no such net on this machine")

    with pytest.raises(ModelError, match="no such net"):
        run(pictures, tmp_path / "out", LocalEngine(), Asking(load))
