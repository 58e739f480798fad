"""What goes wrong for `ldznet segment`: one line, an exit code, and what was done before stays whole."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from ldznet_cli.cli import main
from ldznet_cli.inference import ColourPredictor
from ldznet_cli.inference.outputs import OutputPlan
from ldznet_cli.inference.prompts import Prompt
from ldznet_cli.inference.record_file import read_records
from tests.tiny import tiny_ldm as build_ldm
from tests.tiny_net import tiny_net

PREDICTORS = importlib.import_module("ldznet_cli.cli.predictors")
RED = Prompt("red", "red")

SLOW = """
import importlib, sys, time
from ldznet_cli import cli
from ldznet_cli.inference import ColourPredictor
verb = importlib.import_module("ldznet_cli.cli.predictors")
class Slow(ColourPredictor):
    def predict(self, image, sha256, phrases):
        print("at work", file=sys.stderr, flush=True)
        time.sleep({pause})
        return super().predict(image, sha256, phrases)
verb._net = lambda *_: Slow()
raise SystemExit(cli.main(sys.argv[1:]))
"""


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four red pictures in `in/` of the working folder; the fake answers."""
    for number in range(4):
        path = tmp_path / "in" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.effect_noise((200, 150), 90).convert("RGB").save(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(PREDICTORS, "_net", lambda *_: ColourPredictor())
    return tmp_path / "in"


def fails(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    """The one line of the error."""
    assert main(["segment", *arguments]) == code
    err = capsys.readouterr().err
    last = err.splitlines()[-1]
    assert last.startswith("ldznet: error: ")
    assert "Traceback" not in err
    return last.removeprefix("ldznet: error: ")


def whole(out: Path) -> int:
    """How many records there are in OUT; their files are all there and nothing is half written."""
    records = [r for r in read_records(out / "records.jsonl") if r.error is None]
    plan = OutputPlan(out)
    for record in records:
        paths = plan.paths(record.image.name, RED)
        assert paths.whole()
        Image.open(paths.files["mask"]).load()
    assert not list(out.rglob("*.part"))
    return len(records)


def test_missing_folder(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = fails(capsys, 2, "none", "--prompt", "red")
    assert line == "none does not exist: name an image, a folder or a quoted glob"
    assert not Path("ldznet-out").exists()


def test_empty_folder(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    assert "no image found in empty" in fails(capsys, 4, "empty", "--prompt", "red")
    gt = {"images": [], "annotations": []}
    Path("gt.json").write_text(json.dumps(gt))
    assert "no annotation" in fails(capsys, 4, "--prompts-from", "gt.json")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file (0 bytes)"),
        (b"hello", "not an image that can be read"),
        (None, "damaged or truncated"),
    ],
)
def test_unreadable_images(
    content: bytes | None, reason: str, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = images / "1.png"
    bad.write_bytes(bad.read_bytes()[:3000] if content is None else content)
    assert main(["segment", "in", "--prompt", "red"]) == 3
    out, err = capsys.readouterr()
    assert f"ldznet: warning: in/1.png: {reason}" in err
    assert "1 of 4 images failed: see ldznet-out/failed.jsonl; the others are done" in err.splitlines()[-1]
    records = [json.loads(line) for line in out.splitlines()]
    assert [reason in (record["error"] or "") for record in records] == [False, True, False, False]
    assert whole(Path("ldznet-out")) == 3
    assert len(list(read_records(Path("ldznet-out/failed.jsonl")))) == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["in"], "no phrases: give --prompt"),
        (["--prompt", "red"], "no images: name files or folders"),
        (["in", "--prompt", "   "], "the phrase is empty"),
        (["in", "--prompt", "red", "--prompts-from", "gt.json"], "exclude each other"),
        (["in", "--prompt", "red", "--images", "in"], "belong to --prompts-from"),
        (["in", "--prompt", "Red", "--prompt", "red"], "would have the same file"),
        (["in", "in/0.png", "--prompts-from", "gt.json"], "one folder of images"),
        (["--prompts-from", "gt.json"], "gt.json: cannot be read"),
        (["in", "--prompt", "red", "--threshold", "2"], "'--threshold'"),
        (["in", "--prompt", "red", "--device", "abacus"], "--device abacus"),
    ],
)
def test_arguments_that_make_no_sense(
    arguments: list[str], reason: str, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reason in fails(capsys, 2, *arguments)
    assert not Path("ldznet-out").exists()


def test_two_images_of_one_name(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (images / "1.webp").write_bytes((images / "1.png").read_bytes())
    line = fails(capsys, 2, "in", "--prompt", "red")
    assert "in/1.png and in/1.webp would both be ldznet-out/1/red.png" in line
    assert not Path("ldznet-out").exists()


def test_a_prompt_beyond_the_text_encoder(
    images: Path, tiny_ldm: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(images.parent)
    tiny_net(Path("run"), tiny_ldm, "znet")
    line = fails(capsys, 2, "in", "--prompt", "red", "--prompt", "x" * 60, "--model", "run")
    assert "tokens too long" in line
    assert not list(Path("ldznet-out").rglob("*.png"))


def test_models_that_are_none(
    images: Path, tiny_ldm: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(images.parent)
    asked = ("in", "--prompt", "red")
    assert main(["segment", *asked, "--model", "none"]) == 5
    assert "none" in capsys.readouterr().err
    assert "not a net's folder" in fails(capsys, 1, *asked, "--model", "in")
    assert "owner/name" in fails(capsys, 5, *asked, "--predictor", "clipseg", "--clipseg", "none")
    tiny_net(Path("run"), tiny_ldm, "znet")
    assert "owner/name" in fails(capsys, 5, *asked, "--model", "run", "--ldm", "none")
    build_ldm(Path("other"), seed=7)
    line = fails(capsys, 1, *asked, "--model", "run", "--ldm", "other")
    assert "the net belongs to the LDM" in line
    assert "found" in line
    weights = Path("run/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:1000])
    assert "truncated" in fails(capsys, 1, *asked, "--model", "run")


def start(pause: float, *arguments: str) -> subprocess.Popen[str]:
    """A process of its own, whose predictor takes `pause` seconds an image."""
    script = SLOW.format(pause=pause)
    return subprocess.Popen(
        [sys.executable, "-c", script, "segment", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def wait_until_at_work(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if line == "at work\n":
            return
    raise AssertionError("the process ended before its work began")


def test_ctrl_c_finishes_the_image_at_hand_and_the_same_command_goes_on(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = start(1, "in", "--prompt", "red")
    wait_until_at_work(process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    last = err.splitlines()[-1]
    assert last.startswith("ldznet: error: interrupted: 1 of 4 masks are in ldznet-out, all of them whole")
    assert "the same command makes the rest" in last
    assert len(out.splitlines()) == whole(Path("ldznet-out")) == 1
    assert not Path("ldznet-out/run.json").exists()
    assert main(["segment", "in", "--prompt", "red"]) == 0
    assert "4 masks of 4 images in ldznet-out, 1 of them there already" in capsys.readouterr().err


def test_a_second_ctrl_c_stops_at_once(images: Path) -> None:
    process = start(60, "in", "--prompt", "red")
    wait_until_at_work(process)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=5)
    except subprocess.TimeoutExpired:  # the two came so close together that they were one
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 130
    assert whole(Path("ldznet-out")) == 0


def test_a_kill_leaves_whole_things(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = start(0.2, "in", "--prompt", "red")
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.communicate(timeout=30)
    assert whole(Path("ldznet-out")) >= 1
    assert main(["segment", "in", "--prompt", "red"]) == 0
    assert whole(Path("ldznet-out")) == 4


def test_a_closed_pipe_ends_quietly(images: Path) -> None:
    process = start(0.5, "in", "--prompt", "red", "--quiet")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read().replace("at work\n", "") == ""
    assert process.wait(60) == 141
    assert 1 <= whole(Path("ldznet-out")) < 4


def test_no_space_left_for_a_file(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A limit on the size of files, which the operating system enforces as it does the end of a disk."""
    resource = pytest.importorskip("resource", reason="no limits on the size of files on this system")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    assert main(["segment", "in/0.png", "--prompt", "red"]) == 0
    size = max(path.stat().st_size for path in Path("ldznet-out").rglob("*.*"))
    Image.effect_noise((900, 900), 200).convert("RGB").save("in/9.png")
    capsys.readouterr()
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1000, before[1]))
        line = fails(capsys, 1, "in", "--prompt", "red")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert "no space left to write to" in line
    assert whole(Path("ldznet-out")) == 4
    assert main(["segment", "in", "--prompt", "red"]) == 0
    assert "5 masks of 5 images in ldznet-out, 4 of them there already" in capsys.readouterr().err


def test_a_disk_that_is_full(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A real one, of a few kilobytes, where the tests may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip("only root can mount a small disk to fill")
    try:
        line = fails(capsys, 1, "in", "--prompt", "red", "--out", str(disk / "out"))
        assert "no space left" in line
        assert 1 <= whole(disk / "out") < 4
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_place_that_is_no_folder(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("taken").write_text("a file")
    assert "taken" in fails(capsys, 1, "in", "--prompt", "red", "--out", "taken")


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_works_or_is_refused_plainly(
    device: str,
    images: Path,
    tiny_ldm: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Never another device in its place; with a net of random weights, which really computes there."""
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    there = torch.cuda.is_available() if device == "cuda" else torch.backends.mps.is_available()
    net = tiny_net(tmp_path / "net", tiny_ldm, "ldznet")
    asked = [
        "segment",
        "in",
        "--prompt",
        "red",
        "--model",
        str(net),
        "--ldm",
        str(tiny_ldm),
        "--device",
        device,
    ]
    assert main(asked) == (0 if there else 2)
    err = capsys.readouterr().err
    line = err.splitlines()[-1]
    assert (
        there or f"ldznet: error: --device {device} cannot be used here: this machine, or its PyTorch" in line
    )
    assert len(line) < 200
    assert there == Path("ldznet-out").exists()
