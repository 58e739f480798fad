"""Rows, prompts files and lists of images that are not what they say: tasks, or one line."""

from __future__ import annotations

import csv
import io
import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ldznet_cli.cli import main
from ldznet_cli.errors import LdznetError
from ldznet_cli.inference import OutputPlan, Task, prompts_of
from ldznet_cli.inference.prompt_files import read_prompts, read_rows
from ldznet_cli.samples.listing import read_list
from tests.fuzz.damage import changed_often, damaged

ROWS: list[dict[str, Any]] = [
    {"image": "a.png", "prompt": "red lamp", "label": "lamp", "negative": ["candle", "a|b"]},
    {"image": "deep/b.jpg", "prompt": "tree=plant"},
    {"image": "deep/b.jpg", "prompt": "lamp|light fixture", "negative": "candle"},
    {"image": "../beside/c.png", "prompt": "grass", "label": None, "extra": 3},
]
PROMPTS = b"# what to look for\nred lamp\nlamp=light\n\nlamp|light fixture\n  grass=ground\n"


def json_lines(rng: random.Random) -> bytes:
    rows = changed_often(ROWS, rng)
    lines = rows if isinstance(rows, list) else [rows]
    return b"".join(json.dumps(row).encode() + b"\n" for row in lines) or b"\n"


def table(rng: random.Random, delimiter: str) -> bytes:
    text = io.StringIO()
    written = csv.DictWriter(text, ("image", "prompt", "label", "negative", "extra"), delimiter=delimiter)
    written.writeheader()
    for row in ROWS:
        written.writerow(
            {key: rng.choice((value, value, value, "", "\0", '"', "x" * 5000)) for key, value in row.items()}
        )
    return text.getvalue().encode()


def outcome(work: Callable[[], list[Task]], out: Path) -> str:
    """The kind of refusal, "fine" where there is none: then every result lies below OUT."""
    try:
        tasks = work()
        plan = OutputPlan(out)
        plan.check(tasks)
    except LdznetError as error:
        message = str(error)
        assert 0 < len(message) <= 1000
        return type(error).__name__
    for task in tasks:
        for prompt in task.prompts:
            assert prompt.phrase.strip()
            assert all(
                out in path.parents and ".." not in path.parts
                for path in plan.paths(task.image.name, prompt).files.values()
            )
    return "fine"


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv"])
def test_rows(tmp_path: Path, suffix: str) -> None:
    path, found = tmp_path / f"rows{suffix}", Counter[str]()
    for seed in range(500):
        rng = random.Random(seed)
        content = json_lines(rng) if suffix == ".jsonl" else table(rng, "," if suffix == ".csv" else "\t")
        path.write_bytes(damaged(content, rng) if rng.random() < 0.6 else content)
        found[outcome(lambda: read_rows(path, [], negatives=("x",)), tmp_path / "out")] += 1
    assert found["fine"] > 20
    assert found["UsageError"] > 20
    assert set(found) <= {"fine", "UsageError", "PromptError", "NothingToDo"}


def test_prompts_files(tmp_path: Path) -> None:
    path, found = tmp_path / "prompts.txt", Counter[str]()
    for seed in range(500):
        path.write_bytes(damaged(PROMPTS, random.Random(seed)))
        found[outcome(lambda: [*filter(None, (prompts_of(read_prompts(path)),))] and [], tmp_path)] += 1
    assert found["fine"] > 20
    assert found["UsageError"] > 5


def test_lists_of_images() -> None:
    for seed in range(500):
        rng = random.Random(seed)
        stream = io.BytesIO(damaged(b"in/a.png\nin/deep/b.jpg\0c.png\r\n\n", rng))
        assert all(read_list(stream, nul=rng.random() < 0.5))


def test_some_through_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No image is there, so that nothing but a dry run or one line may come of it, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    for seed in range(40):
        rng = random.Random(seed)
        Path("rows.jsonl").write_bytes(damaged(json_lines(rng), rng) if seed % 2 else json_lines(rng))
        Path("prompts.txt").write_bytes(damaged(PROMPTS, rng))
        asked = (("--prompts-from", "rows.jsonl"), ("rows.jsonl", "--prompts", "prompts.txt"))[seed // 2 % 2]
        code = main(["segment", *asked, "--dry-run"])
        out, err = capsys.readouterr()
        assert code in (0, 2, 4), err
        assert [json.loads(line) for line in out.splitlines()] or code
        assert err.startswith("ldznet: ")
        assert err.count("\n") == 1
        assert err.strip().isprintable()
        assert sorted(path.name for path in Path().iterdir()) == ["prompts.txt", "rows.jsonl"]
