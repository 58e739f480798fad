from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ldznet_cli.errors import UsageError
from ldznet_cli.inference import OutputPlan, Prompt, Task
from ldznet_cli.inference.decision import decide
from ldznet_cli.samples.listing import ImageRef
from ldznet_cli.samples.masks import read_mask, read_prob

LAMP = Prompt("lamp", "lamp")
OUT = Path("out")


def task(name: str, *labels: str, source: str = "in") -> Task:
    prompts = tuple(Prompt(label, label) for label in labels or ("lamp",))
    return Task(ImageRef(Path(source, name), name), prompts)


def as_it_is(image: Image.Image, mask: np.ndarray, label: str) -> Image.Image:
    return image


def test_the_tree_of_the_images_is_mirrored() -> None:
    paths = OutputPlan(OUT, as_it_is).paths("deep/er/a.b.jpg", Prompt("x", "Red Lamp"))
    folder = OUT / "deep" / "er" / "a.b"
    assert paths.mask == folder / "red-lamp.png"
    assert paths.prob == folder / "red-lamp.prob.png"
    assert paths.overlay == folder / "red-lamp.overlay.jpg"
    assert OutputPlan(OUT).paths("a.jpg", LAMP).overlay is None


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
    plan = OutputPlan(tmp_path, as_it_is)
    image = Image.new("RGB", (30, 20), "red")
    decision = decide(np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4), 30, 20, 0.5)
    paths = plan.paths("a.png", LAMP)
    assert not paths.whole()
    plan.write(paths, image, decision, "lamp")
    assert paths.whole()
    assert np.array_equal(read_mask(paths.mask), decision.mask)
    assert np.array_equal(read_prob(paths.prob), decision.prob)
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == [
        "lamp.overlay.jpg",
        "lamp.png",
        "lamp.prob.png",
    ]
    for path in paths.all():
        content = path.read_bytes()
        path.write_bytes(content[:-1])
        assert not paths.whole()
        path.write_bytes(b"")
        assert not paths.whole()
        path.write_bytes(content)
    assert paths.whole()
