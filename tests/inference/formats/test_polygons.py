"""YOLO's and labelme's polygons, read back as those programs do."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ldznet_cli.inference.formats import Labelme, Part, Scene, Yolo
from ldznet_cli.samples.outline import outlines, redrawn

PROB = np.zeros((2, 2), dtype=np.float32)
RING = np.zeros((40, 60), dtype=bool)
RING[5:35, 10:50] = True
RING[15:25, 20:40] = False
TWO = np.zeros((40, 60), dtype=bool)
TWO[2:8, 2:8] = TWO[30:38, 50:60] = True


def scene(*masks: tuple[str, np.ndarray]) -> Scene:
    parts = [Part(label, PROB, outlines(mask)) for label, mask in masks]
    return Scene(Path("in/deep/a.png"), 60, 40, 0.5, parts)


def test_yolo_s_lines_are_the_masks() -> None:
    made = Yolo(("lamp", "tree", 'a: "b"'))
    text = made.encode(scene(("tree", RING), ("lamp", TWO)), Path("x.txt")).decode()
    lines = [line.split() for line in text.splitlines()]
    assert [line[0] for line in lines] == ["1", "0", "0"]
    rings = [np.array(line[1:], dtype=float).reshape(-1, 2) for line in lines]
    assert all(((ring >= 0) & (ring <= 1)).all() for ring in rings)
    assert (redrawn([rings[0] * (60, 40)], 60, 40) == RING).all()
    assert (redrawn([ring * (60, 40) for ring in rings[1:]], 60, 40) == TWO).all()
    description = made.beside()["yolo/data.yaml"].decode()
    assert re.findall(r"^(\w+):", description, re.MULTILINE) == ["train", "val", "names"]
    assert re.findall(r"^  (\d): (\".*\")$", description, re.MULTILINE) == [
        ("0", '"lamp"'),
        ("1", '"tree"'),
        ("2", r'"a: \"b\""'),
    ]


def test_an_image_without_masks_is_background() -> None:
    assert Yolo(("lamp",)).encode(scene(("lamp", np.zeros_like(RING))), Path("x.txt")) == b""


def test_labelme_finds_the_image_from_a_linked_folder(tmp_path: Path) -> None:
    """`..` of a link is where it leads."""
    (tmp_path / "far" / "away" / "out").mkdir(parents=True)
    (tmp_path / "out").symlink_to(tmp_path / "far" / "away" / "out")
    image, place = tmp_path / "in" / "a.png", tmp_path / "out" / "labelme" / "a.json"
    image.parent.mkdir()
    image.touch()
    place.parent.mkdir()
    content = json.loads(Labelme().encode(replace(scene(("lamp", TWO)), path=image), place))
    assert (place.parent / content["imagePath"]).samefile(image)


def test_labelme_s_file_of_a_name_that_is_no_utf_8() -> None:
    path = Path(os.fsdecode(b"in/caf\xe9.png"))
    content = json.loads(Labelme().encode(replace(scene(("lamp", TWO)), path=path), Path("out/a.json")))
    assert os.fsencode(content["imagePath"]) == b"../in/caf\xe9.png"


def test_labelme_s_image_on_another_drive(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> str:
        raise ValueError("path is on mount 'C:', start on mount 'D:'")

    monkeypatch.setattr(os.path, "relpath", none)
    content = json.loads(Labelme().encode(scene(("lamp", TWO)), Path("out/a.json")))
    assert content["imagePath"] == Path("in/deep/a.png").absolute().as_posix()


def test_labelme_s_shapes_are_the_masks() -> None:
    place = Path("out/labelme/deep/a.json")
    content = json.loads(Labelme().encode(scene(("lamp", TWO), ("tree", RING)), place))
    assert content["imagePath"] == "../../../in/deep/a.png"
    assert (content["imageHeight"], content["imageWidth"], content["imageData"]) == (40, 60, None)
    assert [(one["label"], one["group_id"]) for one in content["shapes"]] == [
        ("lamp", 0),
        ("lamp", 0),
        ("tree", 1),
    ]
    assert {one["shape_type"] for one in content["shapes"]} == {"polygon"}
    # labelme draws a polygon so, outline and all (labelme.utils.shape_to_mask)
    canvas = Image.new("L", (60, 40))
    points = [tuple(point) for point in content["shapes"][2]["points"]]
    ImageDraw.Draw(canvas).polygon(xy=points, outline=1, fill=1)
    drawn = np.asarray(canvas).astype(bool)
    assert not drawn[20, 35]
    assert (drawn & RING).sum() / (drawn | RING).sum() > 0.85
    assert Labelme().beside() == {}
