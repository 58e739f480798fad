"""What docs/segment.md, docs/video.md and docs/inpainting.md show runs as it stands there."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ldznet_cli.cli import main
from ldznet_cli.cli.segment_formats import NAMES

ROOT = Path(__file__).resolve().parents[2]
SEGMENT = (ROOT / "docs" / "segment.md").read_text(encoding="utf-8")
VIDEO = (ROOT / "docs" / "video.md").read_text(encoding="utf-8")
INPAINTING = (ROOT / "docs" / "inpainting.md").read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def test_a_mask_goes_into_diffusers_own_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(ROOT / "sample_data", tmp_path / "sample_data")
    monkeypatch.chdir(tmp_path)
    (command,), (script,) = blocks(INPAINTING, "sh"), blocks(INPAINTING, "python")
    assert main(shlex.split(command.replace("\\\n", " "))[1:]) == 0
    assert "num_inference_steps=30" in script
    exec(
        compile(script.replace("num_inference_steps=30", "num_inference_steps=1"), "inpainting.md", "exec"),
        {},
    )
    capsys.readouterr()
    before, after = (
        np.asarray(Image.open(path).convert("RGB"), dtype=int)
        for path in ("sample_data/images/cartoon-2023-000005.png", "inpaint/painted.png")
    )
    mask = np.asarray(Image.open("inpaint/cartoon-2023-000005/red-tree.png")) > 0
    changed = np.abs(after - before).mean(axis=2)
    assert mask.any()
    assert changed[mask].mean() > 2 * changed[~mask].mean()


def test_every_option_and_format_of_the_page_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["segment", "--help"]) == 0
    text = capsys.readouterr().out
    named = set(re.findall(r"--[a-z][a-z-]+", SEGMENT + INPAINTING + VIDEO)) - {"--negatives"}
    assert [option for option in sorted(named) if option not in text] == []
    assert all(f"| `{name}` |" in SEGMENT for name in NAMES)
