"""The command lines of docs/pipelines.md, run as they stand there, by a shell, with the installed command."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ldznet_cli.samples.record import parse

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(
    r"```sh\n(.*?)```", (ROOT / "docs" / "pipelines.md").read_text(encoding="utf-8"), re.DOTALL
)
KEPT = (
    "cartoon-2023-000001.png",
    "cartoon-2023-000005.png",
    "sketch-2023-000004.png",
    "sketch-2023-000002.png",
)
"""The images that are copied, so that each pipeline takes seconds."""

Ran = Callable[[str], "subprocess.CompletedProcess[str]"]


def _copy_samples(folder: Path) -> None:
    (folder / "images").mkdir(parents=True)
    for name in KEPT:
        shutil.copy(ROOT / "sample_data" / "images" / name, folder / "images")
    gt = json.loads((ROOT / "sample_data" / "aigi.json").read_text())
    gt["images"] = [image for image in gt["images"] if image["file_name"] in KEPT]
    ids = {image["id"] for image in gt["images"]}
    gt["annotations"] = [entry for entry in gt["annotations"] if entry["image_id"] in ids]
    (folder / "aigi.json").write_text(json.dumps(gt))


def _shell(block: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = {**os.environ, "PATH": path, "XDG_CACHE_HOME": str(folder / "cache")}
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", block],
        cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all of the commands: what one of them leaves, the next may read."""
    for program in ("bash", "jq"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    folder = tmp_path_factory.mktemp("pipelines")
    _copy_samples(folder / "sample_data")
    return folder


@pytest.fixture(scope="module")
def ran(place: Path) -> Ran:
    """What came of the block that holds these words; all were run in their order."""
    found = {block: _shell(block, place) for block in BLOCKS}

    def of(words: str) -> subprocess.CompletedProcess[str]:
        (block,) = [block for block in found if words in block]
        return found[block]

    for result in found.values():
        assert "Traceback" not in result.stderr
        assert "BrokenPipe" not in result.stderr
    return of


def test_a_list_of_images_scored(ran: Ran, place: Path) -> None:
    result = ran("-name 'cartoon-*.png'")
    assert result.returncode == 0, result.stderr
    assert "mIoU" in result.stdout
    assert "2 masks of 2 images in ldznet-out" in result.stderr
    assert (place / "ldznet-out" / "cartoon-2023-000005" / "car.png").is_file()


def test_names_apart_by_nul_and_the_likely_masks_gathered(ran: Ran, place: Path) -> None:
    result = ran("-print0")
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    records = [parse(line) for line in (place / "cars" / "records.jsonl").read_text().splitlines()]
    likely = {f"{Path(record.image.name).stem}-car.png" for record in records if record.score > 0.5}
    assert len(records) == 2
    assert likely
    assert {path.name for path in (place / "found").iterdir()} == likely


def test_records_kept_on_their_way(ran: Ran, place: Path) -> None:
    result = ran("tee records.jsonl")
    assert result.returncode == 0, result.stderr
    records = [parse(line) for line in (place / "records.jsonl").read_text().splitlines()]
    gt = json.loads((place / "sample_data" / "aigi.json").read_text())
    asked = {(entry["image_id"], entry["phrase"]) for entry in gt["annotations"]}
    assert len(records) == len(asked)
    numbers = ran("--pred records.jsonl")
    assert numbers.returncode == 0, numbers.stderr
    rows = {tuple(row[:3]): row[3] for row in (line.split("\t") for line in numbers.stdout.splitlines())}
    assert f"{100 * float(rows['clipseg', 'mIoU', '0.3']):.1f}" in result.stdout


def test_a_reader_that_leaves(ran: Ran, place: Path) -> None:
    result = ran("head -n 1")
    assert result.returncode == 141
    assert parse(result.stdout).phrase == "tree"
    assert "error" not in result.stderr
    assert not list((place / "trees").rglob("*.part"))
