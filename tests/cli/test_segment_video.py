"""`ldznet segment` on videos and folders of frames, as users run it. The fake answers."""

from __future__ import annotations

import importlib
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

from ldznet_cli.cli import main
from ldznet_cli.inference import ColourPredictor
from ldznet_cli.reporting.overlay import colour_of
from ldznet_cli.samples.images import sha256_of
from ldznet_cli.samples.masks import read_mask
from ldznet_cli.samples.record import schema
from tests.films import film, frames_of

PREDICTORS = importlib.import_module("ldznet_cli.cli.predictors")
Capture = pytest.CaptureFixture[str]
OUT = Path("ldznet-out")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A video of 12 frames, ten a second."""
    film(tmp_path / "clip.mp4")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(PREDICTORS, "_net", lambda *_: ColourPredictor())
    return tmp_path


def run(capsys: Capture, *arguments: str, code: int = 0) -> list[Any]:
    found = main(["segment", *arguments])
    out, err = capsys.readouterr()
    assert found == code, err
    records = [json.loads(line) for line in out.splitlines()]
    for record in records if "--dry-run" not in arguments else ():
        jsonschema.Draft202012Validator(schema()).validate(record)
    return records


def fails(capsys: Capture, code: int, *arguments: str) -> str:
    assert main(["segment", *arguments]) == code
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return err


def test_each_frame_is_an_image(capsys: Capture) -> None:
    records = run(capsys, "clip.mp4", "--prompt", "red")
    assert [record["image"]["frame"] for record in records] == list(range(12))
    image = records[7]["image"]
    assert (image["name"], image["path"], image["time"]) == ("clip/000007.png", "clip.mp4", 0.7)
    assert image["sha256"] == sha256_of("clip.mp4")
    assert records[7]["mask"] == "ldznet-out/clip/000007/red.png"
    assert read_mask(Path(records[7]["mask"]))[10, :16].all()
    assert (OUT / "clip/000007/red.overlay.jpg").is_file()
    told = [json.loads(line) for line in (OUT / "records.jsonl").read_text().splitlines()]
    assert told == records


def test_what_is_there_is_not_made_again(capsys: Capture) -> None:
    first = run(capsys, "clip.mp4", "--prompt", "red", "--every", "4")
    assert [record["image"]["frame"] for record in first] == [0, 4, 8]
    assert main(["segment", "clip.mp4", "--prompt", "red", "--fps", "5", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["images"], summary["resumed"]) == (6, 3)


def test_a_dry_run_says_which_files(capsys: Capture) -> None:
    rows = run(capsys, "clip.mp4", "--prompt", "red", "--every", "6", "--format", "mask", "--dry-run")
    assert [row["files"]["mask"] for row in rows] == [f"ldznet-out/clip/00000{n}/red.png" for n in (0, 6)]
    assert not OUT.exists()


def test_a_masked_video(capsys: Capture) -> None:
    run(capsys, "clip.mp4", "--prompt", "red", "--prompt", "white=rest", "--format", "video,video-cutout")
    assert sorted(path.name for path in (OUT / "clip").iterdir()) == [
        *("red.cutout.mp4", "red.mp4", "rest.cutout.mp4", "rest.mp4")
    ]
    found = frames_of(OUT / "clip/red.cutout.mp4")
    assert [seconds for seconds, _ in found] == pytest.approx([n / 10 for n in range(12)])
    assert found[11][1].shape == (32, 48, 3)
    assert found[11][1][16, :20, 0].min() > 200
    assert found[11][1][16, 30:].max() < 40
    shown = frames_of(OUT / "clip/red.mp4")[11][1]
    assert np.abs(shown[16, 4:20].mean(0) - (np.array((255, 0, 0)) + colour_of("red")) / 2).max() < 12
    assert np.abs(shown[16, 30:44].mean(0) - 255 * 0.65).max() < 12  # what is not the mask is dimmed
    rest = frames_of(OUT / "clip/rest.cutout.mp4")
    assert rest[11][1][16, 30:].min() > 200
    before = (OUT / "clip/red.mp4").read_bytes()
    run(capsys, "clip.mp4", "--prompt", "red", "--prompt", "white=rest", "--format", "video,video-cutout")
    assert (OUT / "clip/red.mp4").read_bytes() == before


def test_a_video_that_has_moved_since(capsys: Capture, tmp_path: Path) -> None:
    """What is done is not made again; the masked video is made from where the frames are now."""
    run(capsys, "clip.mp4", "--prompt", "red", "--every", "6", "--format", "mask,video")
    (tmp_path / "elsewhere").mkdir()
    Path("clip.mp4").rename("elsewhere/clip.mp4")
    (OUT / "clip/red.mp4").unlink()
    records = run(capsys, "elsewhere/clip.mp4", "--prompt", "red", "--every", "6", "--format", "mask,video")
    assert records[0]["image"]["path"] == "elsewhere/clip.mp4"
    assert len(frames_of(OUT / "clip/red.mp4")) == 2


def test_a_folder_of_frames_is_a_clip(capsys: Capture, tmp_path: Path) -> None:
    """In the order of the numbers, and smoothed: a flash of one frame of three is gone."""
    for number, colour in enumerate(
        ("red", "white", "red", "red", "white", "white", "red", "white", "white")
    ):
        (tmp_path / "shots").mkdir(exist_ok=True)
        Image.new("RGB", (31, 21), colour).save(tmp_path / "shots" / f"f{number + 6}.png")
    asked = ("shots", "--prompt", "red", "--threshold", "0.6", "--smooth", "3", "--fps", "5")
    records = run(capsys, *asked, "--format", "mask,video-cutout")
    assert [record["image"]["name"] for record in records] == [f"f{n}.png" for n in range(6, 15)]
    assert [record["area"] > 0 for record in records] == [False, True, True, True, *[False] * 5]
    seconds, pixels = frames_of(OUT / "shots/red.cutout.mp4")[2]
    assert (seconds, pixels.shape) == (pytest.approx(0.4), (21, 31, 3))


def test_videos_in_rows_lists_and_globs(capsys: Capture, tmp_path: Path) -> None:
    film(tmp_path / "deep" / "b.mkv", 2)
    Path("rows.csv").write_text("image,prompt\nclip.mp4,red\ndeep/b.mkv,white\n")
    records = run(capsys, "--prompts-from", "rows.csv", "--every", "6", "--out", "rows")
    assert [(r["image"]["name"], r["label"]) for r in records] == [
        *(("clip/000000.png", "red"), ("clip/000006.png", "red"), ("deep/b/000000.png", "white"))
    ]
    records = run(capsys, "**/*.m??", "--prompt", "red", "--every", "6", "--name", "{folder}_{stem}_{label}")
    assert [r["mask"] for r in records] == [
        *(
            "ldznet-out/clip_000000_red.png",
            "ldznet-out/clip_000006_red.png",
            "ldznet-out/deep/b_000000_red.png",
        )
    ]


def test_a_broken_video_keeps_what_was_decoded(capsys: Capture, tmp_path: Path) -> None:
    cut = film(tmp_path / "cut.mkv", 40, size=(96, 64))
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    Path("no.mp4").write_text("no video")
    err = fails(capsys, 3, "cut.mkv", "no.mp4", "clip.mp4", "--prompt", "red", "--format", "mask,video")
    assert "cut.mkv: damaged or cut off (at frame" in err
    assert "no.mp4: no video that can be read" in err
    failed = [json.loads(line) for line in (OUT / "failed.jsonl").read_text().splitlines()]
    assert [record["image"]["path"] for record in failed] == ["cut.mkv", "no.mp4"]
    whole = len(list((OUT / "cut").glob("*/red.png")))
    assert whole > 2
    assert len(frames_of(OUT / "cut/red.mp4")) == whole
    assert len(frames_of(OUT / "clip/red.mp4")) == 12
    fails(
        capsys,
        3,
        "cut.mkv",
        "no.mp4",
        "clip.mp4",
        "--prompt",
        "red",
        "--format",
        "mask,video",
        "--retry-failed",
    )


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("--every", "2", "--fps", "2"), 2, "--every and --fps exclude each other"),
        (("--smooth", "2"), 2, "--smooth 2: expected an odd number of frames"),
        (("--format", "labelme"), 2, "frames of a video have not"),
        (("--prompt", "white", "--format", "video", "--name", "x"), 2, "two videos would have the same file"),
    ],
)
def test_what_makes_no_sense(arguments: tuple[str, ...], code: int, reason: str, capsys: Capture) -> None:
    assert reason in fails(capsys, code, "clip.mp4", "--prompt", "red", *arguments)
    assert not OUT.exists()


def test_two_videos_of_one_name_are_found_before_the_first_frame(capsys: Capture, tmp_path: Path) -> None:
    film(tmp_path / "clip.mov", 2)
    err = fails(capsys, 2, "clip.mp4", "clip.mov", "--prompt", "red")
    assert "clip.mp4 and clip.mov would both be ldznet-out/clip/000000/red" in err


def test_without_the_extra(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    assert "pip install 'ldznet-cli[video]'" in fails(capsys, 2, "clip.mp4", "--prompt", "red")
    Image.new("RGB", (8, 8)).save("a.png")
    assert "pip install 'ldznet-cli[video]'" in fails(
        capsys, 2, "a.png", "--prompt", "red", "--format", "video"
    )


def test_the_gallery_shows_frames(capsys: Capture) -> None:
    run(capsys, "clip.mp4", "--prompt", "red", "--every", "5")
    assert main(["gallery", "ldznet-out"]) == 0
    assert (OUT / "gallery.html").read_text().count("data:image/jpeg") == 3


def test_the_commands_of_the_page(capsys: Capture) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "video.md").read_text(encoding="utf-8")
    commands = [line for line in page.splitlines() if line.startswith("ldznet segment ")]
    assert len(commands) == 2
    for command in commands:
        run(capsys, *shlex.split(command)[2:])
    assert Path("masks/clip/dog.mp4").is_file()
    assert Path("masks/clip/000000/dog.png").is_file()


def test_frames_find_their_truth_by_name(capsys: Capture) -> None:
    """Of frames that were extracted, and whose bytes are not the video's."""
    run(capsys, "clip.mp4", "--prompt", "red", "--every", "11")
    Path("truth/clip").mkdir(parents=True)
    images, annotations = [], []
    for key, frame in enumerate((0, 11)):
        name = f"clip/{frame:06}.png"
        Image.new("RGB", (48, 32), "white").save(Path("truth") / name)
        images.append({"id": key, "file_name": name, "width": 48, "height": 32})
        box = [0, 0, 2 * frame + 2, 32]
        ring = [0, 0, box[2], 0, box[2], 32, 0, 32]
        annotations.append(
            {"id": key, "image_id": key, "category_id": 1, "bbox": box, "segmentation": [ring]}
        )
    categories = [{"id": 1, "name": "red"}]
    Path("gt.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    assert main(["evaluate", "--gt", "gt.json", "--images", "truth", "--pred", "ldznet-out", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "another image of the same name" not in out + err
    assert "no prediction" not in err
