from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from ldznet_cli.errors import AnnotationError
from ldznet_cli.samples.fields import Fields, require_unique

DATA = Fields(
    {"a": "x", "n": 3, "f": 0.5, "big": 10**400, "t": True, "l": [1, 2], "o": {"x": 1}, "none": None}, "here"
)


def test_values_of_the_right_type() -> None:
    assert DATA.text("a") == DATA.id("a") == "x"
    assert DATA.whole("n") == DATA.id("n") == DATA.number_or_none("n") == 3
    assert DATA.number_or_none("f") == 0.5
    assert DATA.flag("t")
    assert not DATA.flag("none")
    assert DATA.wholes("l", 2) == (1, 2)
    assert DATA.object("o").where == "here: o"
    assert [DATA.has(name) for name in ("a", "none", "missing")] == [True, False, False]
    assert DATA.text_or_none("none") is DATA.whole_or_none("missing") is DATA.number_or_none("none") is None


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        ("text", ("none",), "here: none is missing"),
        ("text", ("n",), "here: n is 3: expected a string"),
        ("whole", ("t",), "here: t is True: expected a whole number"),
        ("whole", ("f",), "here: f is 0.5: expected a whole number"),
        ("number_or_none", ("a",), "here: a is 'x': expected a finite number"),
        ("number_or_none", ("big",), "expected a finite number"),
        ("id", ("t",), "here: t is True: expected a whole number or a string"),
        ("flag", ("n",), "here: n is 3: expected 0 or 1"),
        ("wholes", ("l", 3), "expected a list of 3 whole numbers"),
        ("objects", ("l",), r"here: l\[0\] is 1: expected an object"),
        ("object", ("a",), "here: a is 'x': expected an object"),
    ],
)
def test_values_of_the_wrong_type(method: str, arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(AnnotationError, match=message) as caught:
        getattr(DATA, method)(*arguments)
    assert len(str(caught.value)) < 140


def test_ids_are_unique() -> None:
    require_unique([1, "1", 2], "gt.json: image")
    with pytest.raises(AnnotationError, match=r"gt\.json: image 2 occurs twice"):
        require_unique([1, 2, 2], "gt.json: image")


def test_the_room_is_light() -> None:
    """Annotations and images can be listed without waiting for torch."""
    heavy = ("torch", "scipy", "skimage", "pycocotools", "diffusers", "transformers")
    modules = "coco, images, masks, record, sample, templates"
    code = f"import sys; from ldznet_cli.samples import {modules}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
