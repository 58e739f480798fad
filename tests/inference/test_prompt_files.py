"""Prompts out of files, and what is said of files that hold none."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from ldznet_cli.errors import NothingToDo, UsageError
from ldznet_cli.inference.prompt_files import is_rows, read_prompts, read_rows
from ldznet_cli.inference.prompts import Prompt

NOTHING = io.StringIO()


def test_a_prompt_a_line(tmp_path: Path) -> None:
    path = tmp_path / "phrases.txt"
    path.write_bytes("\ufeffred lamp=lamp\r\n\n  # things\n dog|puppy \n".encode())
    assert read_prompts(path) == ["red lamp=lamp", "dog|puppy"]
    path.write_text("# nothing\n\n")
    with pytest.raises(UsageError, match="holds no prompt"):
        read_prompts(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_prompts(path)
    with pytest.raises(UsageError, match=r"phrases\.csv: cannot be read \(No such file"):
        read_prompts(tmp_path / "phrases.csv")


def rows(folder: Path, name: str, content: str, **options: Any) -> list[tuple[str, str, tuple[Prompt, ...]]]:
    (folder / name).write_text(content)
    tasks = read_rows(folder / name, NOTHING, **options)
    return [(str(task.image.path), task.image.name, task.prompts) for task in tasks]


def test_rows_of_json(tmp_path: Path) -> None:
    lines = [
        {"image": "a/1.jpg", "prompt": "dog|puppy", "negative": ["cat"], "id": 7},
        {"image": "b.jpg", "prompt": "tree=plant"},
        {"image": "./a//1.jpg", "prompt": "sky", "label": "blue", "negative": "sea|lake"},
    ]
    found = rows(tmp_path, "x.jsonl", "\n\n".join(map(json.dumps, lines)) + "\n", negatives=["car"])
    dog = Prompt("dog|puppy", "dog", ("dog", "puppy"), ("car", "cat"))
    sky = Prompt("sky", "blue", (), ("car", "sea", "lake"))
    assert found == [
        (str(tmp_path / "a/1.jpg"), "a/1.jpg", (dog, sky)),
        (str(tmp_path / "b.jpg"), "b.jpg", (Prompt("tree", "plant", (), ("car",)),)),
    ]


@pytest.mark.parametrize(("name", "mark"), [("x.csv", ","), ("x.TSV", "\t")])
def test_rows_of_a_table(tmp_path: Path, name: str, mark: str) -> None:
    content = "\n".join(
        mark.join(row) for row in (["image", "note", "prompt"], ["1.png", "", '"a ""big"" dog"'])
    )
    ((_, _, prompts),) = rows(tmp_path, name, content)
    assert prompts == (Prompt('a "big" dog', 'a "big" dog'),)


def test_rows_on_standard_input(tmp_path: Path) -> None:
    stream = io.StringIO('{"image": "1.png", "prompt": "dog"}\n')
    (task,) = read_rows(Path("-"), stream, tmp_path)
    assert (task.image.path, task.image.name) == (tmp_path / "1.png", "1.png")


def test_images_elsewhere_are_named_below_what_they_share(tmp_path: Path) -> None:
    lines = [{"image": str(tmp_path / place), "prompt": "x"} for place in ("one/a.png", "two/b.png")]
    (tmp_path / "rows").mkdir()
    found = rows(tmp_path / "rows", "x.jsonl", "\n".join(map(json.dumps, lines)))
    assert [name for _, name, _ in found] == ["one/a.png", "two/b.png"]


def test_which_files_are_rows() -> None:
    assert all(map(is_rows, map(Path, ("-", "a.jsonl", "a.CSV", "a.ndjson", "b/a.tsv"))))
    assert not is_rows(Path("gt.json"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.jsonl", '{"image": "a"}', r"x\.jsonl, line 1: no prompt: .*found \['image'\]"),
        ("x.jsonl", '\n{"prompt": "a", "image": ""}', "line 2: no image"),
        ("x.jsonl", '{"prompt": 3, "image": "a"}', "no prompt"),
        ("x.jsonl", "{", "line 1: "),
        ("x.jsonl", "[1]", "line 1: expected an object"),
        ("x.jsonl", "[" * 100_000, "x.jsonl: not rows"),
        ("x.jsonl", '{"image": "a", "prompt": "a", "negative": 3}', "are texts"),
        ("x.jsonl", '{"image": "a", "prompt": "a="}', "line 1: the prompt 'a='"),
        (
            "x.jsonl",
            '{"image": "a", "prompt": "T-shirt"}\n{"image": "a", "prompt": "t shirt"}',
            "the same file",
        ),
        ("x.csv", "picture,prompt\na,b\n", "line 2: no image"),
        ("x.csv", 'image,prompt\na,"b\n', "x.csv: not rows"),
    ],
)
def test_rows_that_are_none(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        rows(tmp_path, name, content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "content"), [("x.jsonl", "\n"), ("x.csv", ""), ("x.csv", "image,prompt\n")])
def test_no_rows(tmp_path: Path, name: str, content: str) -> None:
    with pytest.raises(NothingToDo, match="has no row"):
        rows(tmp_path, name, content)


def test_a_row_s_label_is_taken_as_it_is(tmp_path: Path) -> None:
    lines = [
        {"image": "a.jpg", "prompt": "dog", "label": "a=b"},
        {"image": "a.jpg", "prompt": "x=y|z", "label": "both"},
    ]
    ((_, _, prompts),) = rows(tmp_path, "x.jsonl", "\n".join(map(json.dumps, lines)))
    assert prompts == (Prompt("dog", "a=b"), Prompt("x=y|z", "both", ("x=y", "z")))


def test_a_line_break_inside_of_quotes_parts_words(tmp_path: Path) -> None:
    content = 'image,prompt\n1.png,"red\nlamp"\n2.png,dog\n3.png,\n'
    with pytest.raises(UsageError, match=r"x\.csv, line 5: no prompt"):
        rows(tmp_path, "x.csv", content)
    first, second = rows(tmp_path, "x.csv", content.replace("3.png,\n", ""))
    assert (first[2], second[2]) == ((Prompt("red lamp", "red lamp"),), (Prompt("dog", "dog"),))


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\u0085", "\x1c"])
def test_only_a_newline_ends_a_line_of_json(tmp_path: Path, mark: str) -> None:
    line = json.dumps({"image": f"a{mark}b.png", "prompt": "dog"}, ensure_ascii=mark < " ")
    ((path, _, _),) = rows(tmp_path, "x.jsonl", f"{line}\n")
    assert path == str(tmp_path / f"a{mark}b.png")
