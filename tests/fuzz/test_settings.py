"""`ldznet.toml` that is not what it says: the options of a run, or one line and exit code 2."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from ldznet_cli.cli import app, main, settings
from ldznet_cli.config import read_settings
from ldznet_cli.errors import UsageError
from tests.fuzz.damage import damaged

VALUES = (
    *(
        "1",
        '"x"',
        "[1]",
        "true",
        "nan",
        "inf",
        "-1",
        "{a=1}",
        "1979-05-27",
        "9" * 20,
        "[]",
        "[[1]]",
        '"../x"',
    ),
    *("1e400", '""', '["a","b"]', '"\\u0000"', '"\\u001b[31m"', "[" * 50 + "]" * 50),
)


@pytest.fixture(scope="module")
def commented(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file that `ldznet init` writes."""
    folder = tmp_path_factory.mktemp("init")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["init"]) == 0
    return (folder / "ldznet.toml").read_text(encoding="utf-8")


def spoilt(commented: str, rng: random.Random) -> bytes:
    """Options with values that they do not take, tables that there are not, damaged bytes."""
    lines = commented.splitlines()
    for place in rng.sample(range(len(lines)), 8):
        if found := re.match(r"#?([a-z-]+) = ", lines[place]):
            lines[place] = f"{found[1]} = {rng.choice(VALUES)}"
    if rng.random() < 0.2:
        lines.insert(
            rng.randrange(len(lines)), rng.choice(("[segment.x]", "[none]", "segment = 1", "[[train]]", "x="))
        )
    content = "\n".join(lines).encode()
    return damaged(content, rng) if rng.random() < 0.4 else content


@pytest.fixture
def files(commented: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.chdir(tmp_path)

    def each() -> Iterator[int]:
        seed = 0
        while True:
            Path("ldznet.toml").write_bytes(spoilt(commented, random.Random(seed)))
            yield seed
            seed += 1

    return each()


def test_hundreds_of_files_are_read_or_refused(files: Iterator[int]) -> None:
    group = typer.main.get_command(app)
    found: Counter[str] = Counter()
    for seed in files:
        if seed == 400:
            break
        try:
            settings.default_map(group, read_settings(), {})  # type: ignore[arg-type]
            found["fine"] += 1
        except UsageError:
            found["refused"] += 1
    assert min(found["fine"], found["refused"]) > 40


def test_some_through_the_command(files: Iterator[int], capsys: pytest.CaptureFixture[str]) -> None:
    """There is nothing to work on, so that no file may lead to anything but one line."""
    for seed in files:
        if seed == 24:
            break
        before = sorted(Path().rglob("*"))
        assert main((["segment", "none", "--prompt", "x"], ["evaluate", "--gt", "none"])[seed % 2]) in (1, 2)
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("ldznet: error: ")
        assert err.count("\n") == 1
        assert err.strip().isprintable()
        assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize("content", [b"a = " + b"[" * 100_000, b"\xff\xfe", b'"\x1b[31m" = 1', b"a = \0"])
def test_named_cases(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ldznet.toml").write_bytes(content)
    assert main(["segment", "none", "--prompt", "x"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("ldznet: error: ")
    assert err.strip().isprintable()
