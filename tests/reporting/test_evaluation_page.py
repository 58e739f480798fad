"""The page of `evaluate --report`: all that is asked of it, from one file, as a browser shows it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ldznet_cli.cli import main
from ldznet_cli.samples.coco import load_coco
from ldznet_cli.samples.masks import write_mask
from tests.evaluation.world import records, write_records, write_world


@pytest.fixture
def html(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """The page of a small world in which a phrase is called `<b>`."""
    monkeypatch.chdir(tmp_path)
    gt = write_world(tmp_path)
    gt.write_text(gt.read_text().replace('"red lamp"', '"<b>bold</b> lamp"'))
    write_records(Path("out"), records(gt, Path("out")))
    protocols = [
        "--protocol",
        "clipseg",
        "--protocol",
        "native",
        "--protocol",
        "refcoco",
        "--clipseg-size",
        "64",
    ]
    assert main(["evaluate", "--gt", "gt.json", "--pred", "out", *protocols, "--report", "page"]) == 0
    assert "page/index.html is the page to look at" in capsys.readouterr().err
    assert sorted(path.name for path in Path("page").iterdir()) == ["index.html", "report.json"]
    return Path("page/index.html").read_text()


def test_what_stands_on_it(html: str) -> None:
    for title in ("Threshold sweep", "Precision over recall", "Calibration", "Worst samples", "Best samples"):
        assert title in html
    assert "Seen where it is not" in html  # the lamp that is absent
    assert html.count("not measured here") == 1
    assert "LD-ZNet</td><td>52.7</td>" in html
    assert "kind:stuff" in html
    assert "native (version 1), original size: 7 samples" in html
    assert html.count('src="data:image/jpeg') == 2 * (6 + 6 + 1)
    assert re.search(r"AP is the area over the recall from [\d.]+ % to [\d.]+ % \(shaded\)", html)


def test_it_needs_nothing_and_runs_nothing(html: str) -> None:
    """No address but data, and what users write is text."""
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", html)
    assert "<b>bold</b>" not in html
    assert "&lt;b&gt;bold&lt;/b&gt; lamp" in html
    assert "default-src 'none'" in html


def test_a_picture_that_cannot_be_made_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers need no images; the pictures do."""
    monkeypatch.chdir(tmp_path)
    gt = write_world(tmp_path)
    write_records(Path("out"), records(gt, Path("out")))
    (tmp_path / "images/sketch_3.png").unlink()
    assert (
        main(["evaluate", "--gt", "gt.json", "--pred", "out", "--protocol", "native", "--report", "page"])
        == 0
    )
    html = Path("page/index.html").read_text()
    assert "sketch_3.png does not exist" in html or "sketch_3.png: " in html


def test_a_picture_of_another_size_than_annotated_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    gt = write_world(tmp_path)
    for sample in load_coco(gt).samples:
        write_mask(tmp_path / "masks" / f"{Path(sample.image.name).stem}_{sample.phrase}.png", sample.mask())
    turned = tmp_path / "images/photo_1.png"
    Image.open(turned).transpose(Image.Transpose.ROTATE_90).save(turned)
    told = ["--protocol", "native", "--report", "page"]
    assert main(["evaluate", "--gt", "gt.json", "--pred", "masks", *told]) == 0
    assert "photo_1.png has 30x40 pixels, its annotations 40x30" in Path("page/index.html").read_text()


def browser() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium on this machine")
    return found


def test_a_browser_shows_it(html: str, tmp_path: Path) -> None:
    """Headless: the charts and the pictures are painted, nothing is wider than the window."""
    shot = tmp_path / "shot.png"
    command = [browser(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1250,3000", f"--screenshot={shot}"]
    subprocess.run(
        [*command, (tmp_path / "page/index.html").as_uri()], capture_output=True, check=True, timeout=300
    )
    pixels = np.asarray(Image.open(shot).convert("RGB")).astype(int)
    assert pixels.shape == (3000, 1250, 3)
    blue = np.abs(pixels - (0, 114, 178)).max(axis=2) < 12  # the first line of each chart
    assert blue[:, :450].sum() > 300
    assert (pixels[:, 1225:] == pixels[0, -1]).all()
