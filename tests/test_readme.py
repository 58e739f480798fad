"""What the README shows is what happens: its Python example (`make check` holds the generated blocks)."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from ldznet_cli.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(ROOT / "sample_data", tmp_path / "sample_data")
    monkeypatch.chdir(tmp_path)
    assert main(["segment", "--prompts-from", "sample_data/aigi.json", "--out", "demo-out/masks", "-q"]) == 0
    capsys.readouterr()
    example = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert example is not None
    exec(compile(example[1], "README.md", "exec"), {})
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("red tree ")
    assert "mIoU" in shown[-1]
    assert Path("orange car.png").is_file()
