from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ldznet_cli.errors import UsageError
from ldznet_cli.inference import OutputPlan, Task
from ldznet_cli.inference.answering import Finish, answered
from ldznet_cli.inference.formats import CocoResults, MaskPng, ProbPng, Yolo
from ldznet_cli.inference.prompts import Prompt
from ldznet_cli.reporting.label_map import LabelMapPng
from ldznet_cli.reporting.overlay import OverlayJpeg
from ldznet_cli.samples.listing import ImageRef
from ldznet_cli.samples.masks import read_mask, read_prob

LAMP = Prompt("lamp", "lamp")
OUT = Path("out")


def task(name: str, *labels: str, source: str = "in") -> Task:
    prompts = tuple(Prompt(label, label) for label in labels or ("lamp",))
    return Task(ImageRef(Path(source, name), name), prompts)


ALL = (ProbPng(), OverlayJpeg(), MaskPng())


def test_the_tree_of_the_images_is_mirrored() -> None:
    paths = OutputPlan(OUT, ALL).paths("deep/er/a.b.jpg", Prompt("x", "Red Lamp"))
    folder = OUT / "deep" / "er" / "a.b"
    assert paths.files["mask"] == folder / "red-lamp.png"
    assert paths.files["prob"] == folder / "red-lamp.prob.png"
    assert paths.files["overlay"] == folder / "red-lamp.overlay.jpg"
    assert OutputPlan(OUT).paths("a.jpg", LAMP).get("overlay") is None


def test_what_goes_together_is_let_through() -> None:
    OutputPlan(OUT).check([task("a.jpg", "lamp", "tree"), task("b.jpg"), task("a/b.jpg"), task("c/a.jpg")])


@pytest.mark.parametrize(
    "tasks",
    [
        [task("a.jpg"), task("a.png")],
        [task("a.jpg"), task("a.jpg", source="other")],
        [task("a.jpg", "b"), task("a/b.png.jpg")],
        [task("records.jsonl.png")],
    ],
)
def test_collisions_are_found_before_anything_is_done(tasks: list[Task]) -> None:
    with pytest.raises(UsageError, match="would both be"):
        OutputPlan(OUT).check(tasks)


@pytest.mark.parametrize("name", ["../a.png", "a/../../b.png", "/a.png", "..", ""])
def test_no_name_leads_out(name: str) -> None:
    with pytest.raises(UsageError, match="out of the output folder"):
        OutputPlan(OUT).check([task(name)])


def test_files_are_written_and_known_to_be_whole(tmp_path: Path) -> None:
    plan = OutputPlan(tmp_path, ALL)
    image = Image.new("RGB", (30, 20), "red")
    prob = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    answer = answered(image, "lamp", prob, Finish(0.5)).answer
    paths = plan.paths("a.png", LAMP)
    assert not paths.whole()
    plan.write(paths, answer)
    assert paths.whole()
    assert np.array_equal(read_mask(paths.files["mask"]), answer.mask)
    assert np.array_equal(read_prob(paths.files["prob"]), answer.prob)
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == [
        "lamp.overlay.jpg",
        "lamp.png",
        "lamp.prob.png",
    ]
    for path in paths.files.values():
        content = path.read_bytes()
        path.write_bytes(content[:-1])
        assert not paths.whole()
        path.write_bytes(b"")
        assert not paths.whole()
        path.write_bytes(content)
    assert paths.whole()


def test_masks_are_called_as_the_template_says() -> None:
    def named(template: str, image: str = "deep/er/a.b.jpg") -> str:
        path = OutputPlan(OUT, (MaskPng(),), name=template).paths(image, Prompt("x", "Red Lamp"))
        return path.files["mask"].as_posix()

    assert named("{image}/{label}") == "out/deep/er/a.b/red-lamp.png"
    assert named("{folder}/{stem}_{label}") == "out/deep/er/a.b_red-lamp.png"
    assert named("{label}/{image}") == "out/red-lamp/deep/er/a.b.png"
    assert named("{folder}/{stem}", "a.jpg") == "out/a.png"


@pytest.mark.parametrize("template", ["{nothing}", "{}", "", "/", "{image}/{label:>9}", "{image.x}"])
def test_templates_that_are_none(template: str) -> None:
    with pytest.raises(UsageError, match=r"known are \{image\}, \{folder\}"):
        OutputPlan(OUT, name=template)


def test_a_template_that_leads_out() -> None:
    with pytest.raises(UsageError, match="leads out"):
        OutputPlan(OUT, name="../{image}").check([task("a.jpg")])


def test_a_template_without_the_label_is_enough_for_one_prompt_only() -> None:
    plan = OutputPlan(OUT, name="{image}")
    plan.check([task("a.jpg"), task("b.jpg")])
    with pytest.raises(UsageError, match=r"put \{label\} into --name"):
        plan.check([task("a.jpg", "lamp", "tree")])
    with pytest.raises(UsageError, match="rename one of them"):
        OutputPlan(OUT, name="{label}").check([task("a.jpg"), task("b.jpg")])


def test_files_of_images_and_of_the_run_have_their_places() -> None:
    plan = OutputPlan(OUT, ALL, (LabelMapPng(("lamp",)), Yolo(("lamp",))), (CocoResults({}, {}),))
    assert [path.as_posix() for path in plan.image_paths("deep/a.b.jpg").files.values()] == [
        "out/labelmap/deep/a.b.png",
        "out/yolo/labels/deep/a.b.txt",
    ]
    assert plan.formats == ("prob", "overlay", "mask", "labelmap", "yolo", "coco")
    plan.check([task("a.jpg", "lamp", "tree")])
    for image, label in (
        ("labelmap.jpg", "legend"),
        ("yolo/labels/b.jpg", "x"),
        ("coco.index.json.jpg", "x"),
    ):
        tasks = [task(image, label), task("b/x.jpg")]
        if image.startswith("yolo"):
            plan.check(tasks)
        else:
            with pytest.raises(UsageError, match="would both be"):
                plan.check(tasks)
