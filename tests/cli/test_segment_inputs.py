"""Which images and phrases `ldznet segment` is asked for: lists, globs, rows, files of prompts. The fake answers."""

from __future__ import annotations

import importlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ldznet_cli.cli import main
from ldznet_cli.inference import ColourPredictor
from ldznet_cli.samples.masks import read_mask

PREDICTORS = importlib.import_module("ldznet_cli.cli.predictors")
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a tree of pictures, the left half red, the right half blue."""
    for name in ("a.png", "b.jpg", "deep/c.png", "thumbs/a.png"):
        picture(tmp_path / "in" / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(PREDICTORS, "_net", lambda *_: ColourPredictor())
    return tmp_path


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (40, 30), "blue")
    image.paste("red", (0, 0, 20, 30))
    image.save(path)


def run(capsys: Capture, *arguments: str) -> list[Any]:
    assert main(["segment", *arguments, "--no-overlay"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def names(records: list[Any]) -> list[str]:
    return [record["image"]["name"] for record in records]


def fails(capsys: Capture, code: int, *arguments: str) -> str:
    assert main(["segment", *arguments]) == code
    assert not Path("ldznet-out").exists()
    return capsys.readouterr().err.splitlines()[-1]


def feed(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))


def test_folders_globs_and_what_is_left_out(capsys: Capture) -> None:
    red = ("--prompt", "red")
    assert names(run(capsys, "in", *red)) == ["a.png", "b.jpg", "deep/c.png", "thumbs/a.png"]
    assert names(run(capsys, "in", *red, "--no-recursive")) == ["a.png", "b.jpg"]
    assert names(run(capsys, "in", *red, "--exclude", "thumbs", "--exclude", "*.jpg")) == [
        "a.png",
        "deep/c.png",
    ]
    assert names(run(capsys, "in/**/*.png", *red, "--exclude", "thumbs/*")) == ["a.png", "deep/c.png"]


def test_a_list_on_standard_input(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    feed(monkeypatch, b"in/deep/c.png\nin/b.jpg\n\n")
    assert names(run(capsys, "-", "--prompt", "red")) == ["deep/c.png", "b.jpg"]
    picture(Path("in/new\nline.png"))
    feed(monkeypatch, b"in/new\nline.png\0in/a.png\0")
    assert names(run(capsys, "-0", "-", "--prompt", "red")) == ["new\nline.png", "a.png"]


def test_lists_that_are_none(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    red = ("--prompt", "red")
    feed(monkeypatch, b"\n")
    assert "standard input is empty" in fails(capsys, 4, "-", *red)
    feed(monkeypatch, b"in/a.png\0in/b.jpg\0")
    assert "read with -0" in fails(capsys, 2, "-", *red)
    feed(monkeypatch, b"in/a.png\nin/gone.png\n")
    assert "in/gone.png does not exist" in fails(capsys, 2, "-", *red)
    assert "find … -print0" in fails(capsys, 2, "in", *red, "-0")
    assert "--exclude leaves out all 4 images of in" in fails(capsys, 4, "in", *red, "--exclude", "*")


def test_rows_give_each_image_its_own(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("rows.csv").write_text("image,prompt,label\na.png,red,left\ndeep/c.png,blue,\na.png,blue,\n")
    records = run(capsys, "in", "--prompts-from", "rows.csv")
    assert [(r["image"]["name"], r["phrase"], r["label"]) for r in records] == [
        ("a.png", "red", "left"),
        ("a.png", "blue", "blue"),
        ("deep/c.png", "blue", "blue"),
    ]
    feed(monkeypatch, b'{"image": "in/b.jpg", "prompt": "red|crimson", "negative": ["blue"]}\n')
    (record,) = run(capsys, "--prompts-from", "-")
    assert (record["phrase"], record["label"], record["negatives"]) == ("red|crimson", "red", ["blue"])
    assert record["prompt"] is None


def test_a_row_s_image_that_is_not_there_is_one_failure(capsys: Capture) -> None:
    Path("rows.jsonl").write_text(
        '{"image": "in/a.png", "prompt": "red"}\n{"image": "in/no.png", "prompt": "red"}\n'
    )
    assert main(["segment", "--prompts-from", "rows.jsonl"]) == 3
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [r["error"] for r in records] == [None, "in/no.png: does not exist"]


def test_a_file_of_prompts(capsys: Capture) -> None:
    Path("phrases.txt").write_text("# sides\nred=left\nblue|navy=right\n")
    records = run(capsys, "in/a.png", "--prompt", "green", "--prompts", "phrases.txt")
    assert [r["label"] for r in records] == ["green", "left", "right"]
    Path("phrases.txt").write_text("red=\n")
    assert "ends in '='" in fails_again(capsys, "in/a.png", "--prompts", "phrases.txt")


def fails_again(capsys: Capture, *arguments: str) -> str:
    assert main(["segment", *arguments]) == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["in", "--prompts", "none.txt"], "none.txt: cannot be read"),
        (["--prompts-from", "none.csv"], "none.csv: cannot be read"),
        (["in", "--prompt", "red", "--prompts-from", "rows.csv"], "exclude each other"),
        (["--prompts-from", "rows.csv", "--exclude", "*.gif"], "--exclude belongs to images that are named"),
        (["--prompts-from", "rows.csv", "--no-recursive"], "--no-recursive belongs to images that are named"),
        (["--prompts-from", "rows.csv", "--groups", "g.json"], "--groups belongs to annotations"),
        (["in", "--prompt", "red", "--dry-run", "--retry-failed"], "leave out --retry-failed"),
        (["in", "--prompt", "red|"], "the phrase is empty"),
        (["in", "--prompt", "red", "--negative", " "], "the phrase is empty"),
    ],
)
def test_what_makes_no_sense(arguments: list[str], reason: str, capsys: Capture) -> None:
    assert reason in fails(capsys, 2, *arguments)


def test_a_negative_and_synonyms_change_the_mask(capsys: Capture) -> None:
    def columns(*arguments: str) -> tuple[int, int]:
        (record,) = run(capsys, "in/a.png", *arguments)
        covered = np.flatnonzero(read_mask(Path(record["mask"])).all(axis=0))
        return (int(covered[0]), int(covered[-1])) if covered.size else (-1, -1)

    left, right = (
        columns("--prompt", "red", "--threshold", "0.2"),
        columns("--prompt", "blue", "--threshold", "0.2"),
    )
    assert left[0] == 0
    assert right[1] == 39
    assert columns("--prompt", "red|blue=both", "--threshold", "0.2") == (0, 39)
    assert columns("--prompt", "purple", "--threshold", "0.2") == (0, 39)
    assert columns("--prompt", "purple", "--negative", "blue", "--threshold", "0.2") == (0, 19)
    both = ("--negative", "blue", "--negative", "red")
    assert columns("--prompt", "purple", *both, "--threshold", "0.2") == (-1, -1)


KINDS = {
    "grey.png": ("L", {}),
    "deep.png": ("I;16", {}),
    "deep.tif": ("I;16", {}),
    "ink.jpg": ("CMYK", {}),
    "ink.tif": ("CMYK", {}),
    "palette.png": ("P", {}),
    "palette.bmp": ("P", {}),
    "first.gif": ("P", {"save_all": True}),
    "alpha.png": ("RGBA", {}),
    "alpha.webp": ("RGBA", {"lossless": True}),
    "plain.webp": ("RGB", {"lossless": True}),
    "plain.bmp": ("RGB", {}),
    "bits.png": ("1", {}),
}


def test_every_kind_of_image_goes_through(capsys: Capture) -> None:
    """Black above, white below: every mode can say that."""
    base = Image.new("L", (40, 30), 255)
    base.paste(0, (0, 0, 40, 15))
    for name, (mode, options) in KINDS.items():
        Path("kinds", name.replace(".", "/")).mkdir(parents=True, exist_ok=True)
        path = Path("kinds", name.replace(".", "/"), name)
        if mode == "I;16":
            image = Image.fromarray(np.asarray(base).astype(np.uint16) * 257)
        else:
            image = base.convert("RGB").convert(mode) if mode in ("CMYK", "P", "RGBA") else base.convert(mode)
        more = {"append_images": [Image.new("P", (40, 30), 3)]} if "save_all" in options else {}
        image.save(path, **options, **more)
    records = run(capsys, "kinds", "--prompt", "black")
    assert len(records) == len(KINDS)
    for record in records:
        mask = read_mask(Path(record["mask"]))
        assert mask[:12].all(), record["image"]["name"]
        assert not mask[18:].any(), record["image"]["name"]


def test_a_turned_photograph_has_an_upright_mask(capsys: Capture) -> None:
    image = Image.new("RGB", (40, 30), "blue")
    image.paste("red", (0, 0, 20, 30))
    exif = Image.Exif()
    exif[274] = 6
    image.save("turned.jpg", exif=exif, quality=95)
    (record,) = run(capsys, "turned.jpg", "--prompt", "red")
    mask = read_mask(Path(record["mask"]))
    assert (record["image"]["width"], record["image"]["height"], mask.shape) == (30, 40, (40, 30))
    assert mask[:18].all()
    assert not mask[22:].any()
