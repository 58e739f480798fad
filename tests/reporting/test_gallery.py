"""The gallery in a real browser: what its readers see, and that its words are only ever words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ldznet_cli.reporting.gallery import Exhibit, gallery, worst
from ldznet_cli.samples.masks import encode_rle, write_mask, write_prob
from ldznet_cli.samples.record import Record, RecordImage
from tests.browser import Browser, browser

SIZE = (48, 40)
"""(width, height) of picture, map and mask: on the page they stay as large, so that pixels can be counted."""

ATTACK = (
    "</script><script>document.title = 'hacked'</script><img src=x onerror=\"document.title = 'hacked'\">"
)
RANDOM = np.random.default_rng(0)
PROBS = [RANDOM.random(SIZE[::-1], dtype=np.float32) for _ in range(4)]
TRUTH = np.zeros(SIZE[::-1], dtype=bool)
TRUTH[10:30, 5:25] = True

INSIDE = 140
"""The opacity that gallery.js gives to what a mask holds."""

COUNT = f"""(() => {{
  const canvas = document.querySelector('.picture canvas');
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  const found = {{}};
  for (let at = 0; at < data.length; at += 4) {{
    const name = data[at + 3] !== {INSIDE} ? 'out' : data[at] > 230 ? 'missed' : data[at] > 190 ? 'wrong'
      : data[at] < 20 ? 'right' : 'mask';
    found[name] = (found[name] || 0) + 1;
  }}
  return found;
}})()"""


def record(folder: Path, number: int, phrase: str, **other: Any) -> Record:
    """A record whose files are in `folder`, its image in another folder of the same name."""
    place = folder / f"picture {number % 2}"
    write_prob(place / f"{number}.prob.png", PROBS[number])
    write_mask(place / f"{number}.png", PROBS[number] > 0.7)
    name = f"picture {number % 2}<b>.png"
    image = folder / name
    Image.fromarray(RANDOM.integers(0, 256, (*SIZE[::-1], 3), dtype=np.uint8)).save(image)
    return Record(
        image=RecordImage(str(image), name, f"{number % 2:064}", *SIZE),
        phrase=phrase,
        label=phrase,
        threshold=0.7,
        score=(number + 1) / 5,
        area=int((PROBS[number] > 0.7).sum()),
        mask=str(place / f"{number}.png"),
        prob=str(place / f"{number}.prob.png"),
        **other,
    )


@pytest.fixture(scope="module")
def exhibits(tmp_path_factory: pytest.TempPathFactory) -> list[Exhibit]:
    folder = tmp_path_factory.mktemp("out")
    return [
        Exhibit(record(folder, 0, "red lamp"), 0.5, TRUTH),
        Exhibit(record(folder, 1, ATTACK), 0.25, TRUTH),
        Exhibit(record(folder, 2, "grass"), None),
        Exhibit(
            replace(record(folder, 3, "red lamp"), error="no space left to write to", mask=None, prob=None)
        ),
    ]


@pytest.fixture(scope="module")
def content(exhibits: list[Exhibit]) -> str:
    return gallery(exhibits, Path("out"), title=f"T {ATTACK}", about=f"about {ATTACK}")


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def page(tab: Browser, content: str, tmp_path: Path) -> Browser:
    """The page, just opened from disk, its first masks painted."""
    path = tmp_path / "gallery.html"
    path.write_text(content, encoding="utf-8")
    tab.requests.clear()
    tab.open(path)
    tab.wait("document.querySelectorAll('[data-painted]').length === 3")
    return tab


def captions(page: Browser) -> list[str]:
    found: list[str] = page.run("[...document.querySelectorAll('figcaption')].map((node) => node.innerText)")
    return found


def painted(page: Browser, how: str) -> dict[str, int]:
    """The first picture's pixels by what they are, once it is painted so."""
    page.wait(f"document.querySelector('.picture').dataset.painted === {json.dumps(how)}")
    found: dict[str, int] = page.run(COUNT)
    return found


def test_nothing_is_asked_of_a_network_and_no_word_is_code(page: Browser, content: str) -> None:
    assert page.run("document.title").startswith("T </script><script>")
    assert page.run("document.querySelectorAll('[onerror], h1 script, figcaption script').length") == 0
    assert ATTACK in page.run("[...document.querySelectorAll('figcaption b')].map((b) => b.textContent)")
    assert {address.split(":")[0] for address in page.requests} == {"file", "data"}
    assert sum(address.startswith("file:") for address in page.requests) == 1
    assert page.errors == []
    assert content.count("<script>") == 1
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?!data:)(?:\w+:|/|\.)""", content)


def test_the_mask_lies_over_the_picture_while_the_pointer_is_on_it(
    page: Browser, exhibits: list[Exhibit]
) -> None:
    page.set("#order", "made")
    opacity = "getComputedStyle(document.querySelector('.picture canvas')).opacity"
    page.ask("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
    assert page.run(opacity) == "0"
    page.hover(".picture")
    page.wait(f"{opacity} === '1'")
    assert painted(page, "as made")["mask"] == exhibits[0].record.area
    page.ask("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
    page.wait(f"{opacity} === '0'")
    page.click("#always")
    assert page.run(opacity) == "1"


@pytest.mark.parametrize("threshold", ["0.1", "0.42", "1"])
def test_the_slider_acts_on_the_stored_probabilities(threshold: str, page: Browser) -> None:
    page.set("#order", "made")
    page.set("#threshold", threshold)
    assert page.run("document.getElementById('made').checked") is False
    stored = np.rint(PROBS[0].astype(np.float64) * 255) / 255
    assert painted(page, f"p > {float(threshold):g}").get("mask", 0) == int((stored > float(threshold)).sum())
    page.click("#made")
    assert painted(page, "as made")["mask"] == int((PROBS[0] > 0.7).sum())


def test_comparing_with_the_truth(page: Browser) -> None:
    page.set("#order", "made")
    page.click("#truth")
    page.wait(f"('right' in {COUNT})")
    mask = PROBS[0] > 0.7
    assert page.run(COUNT) == {
        "right": int((mask & TRUTH).sum()),
        "wrong": int((mask & ~TRUTH).sum()),
        "missed": int((~mask & TRUTH).sum()),
        "out": int((~mask & ~TRUTH).sum()),
    }
    assert page.run("getComputedStyle(document.getElementById('legend')).display") != "none"


def test_the_worst_stand_first(page: Browser) -> None:
    shown = captions(page)
    assert [re.findall(r"IoU (.*?) %", text) for text in shown] == [["25.0"], ["50.0"], [], []]
    page.set("#order", "high")
    assert [re.findall(r"score (.*?) %", text) for text in captions(page)][:3] == [[], ["60.0"], ["40.0"]]
    page.set("#order", "made")
    assert page.run("[...document.querySelectorAll('#grid h2')].map((h) => h.textContent)") == [
        *("picture 0<b>.png", "picture 1<b>.png", "picture 0<b>.png", "picture 1<b>.png"),
    ]


def test_what_is_shown_can_be_chosen(page: Browser) -> None:
    page.set("#least", "0.3")
    assert len(captions(page)) == 3
    page.set("#most", "0.7")
    assert len(captions(page)) == 2
    page.set("#find", "GRASS")
    assert [text.splitlines()[0] for text in captions(page)] == ["grass"]
    assert page.run("document.getElementById('count').textContent") == "1 of 4 masks"
    page.set("#find", "")
    page.set("#least", "0")
    page.set("#most", "1")
    page.set("#phrase", "red lamp")
    assert [
        "no space left" in text
        for text in page.run("[...document.querySelectorAll('.picture')].map((p) => p.innerText)")
    ] == [
        False,
        True,
    ]


def test_a_picture_that_is_gone_leaves_its_mask(
    tab: Browser, exhibits: list[Exhibit], tmp_path: Path
) -> None:
    one = exhibits[0].record
    gone = replace(
        one, image=replace(one.image, path="none.png"), prob=None, mask=None, rle=encode_rle(TRUTH)
    )
    page = tmp_path / "gallery.html"
    page.write_text(gallery([Exhibit(gone)], tmp_path, title="t", about="a"), encoding="utf-8")
    tab.open(page)
    tab.wait("document.querySelectorAll('[data-painted]').length === 1")
    assert tab.run(COUNT)["mask"] == int(TRUTH.sum())
    assert tab.run("document.querySelector('.picture canvas').getBoundingClientRect().height") > 50
    assert tab.run("document.getElementById('truth')") is None
    assert tab.errors == []


def test_maps_are_small_and_files_that_are_missing_are_told_of(
    tmp_path: Path, exhibits: list[Exhibit]
) -> None:
    large = RANDOM.random((900, 1200), dtype=np.float32)
    write_prob(tmp_path / "p.png", large)
    one = replace(exhibits[0].record, prob=str(tmp_path / "p.png"), mask=None)
    content = gallery([Exhibit(one)], tmp_path, title="t", about="a")
    assert len(content) < 100_000, "a page of one mask of noise, the worst that there is to pack"
    lost = replace(one, prob=str(tmp_path / "none.png"))
    assert "none.png: does not exist" in gallery([Exhibit(lost)], tmp_path, title="t", about="a")


def test_the_worst_of_many(exhibits: list[Exhibit]) -> None:
    assert worst(exhibits, 1) == [exhibits[1]]
    assert worst(exhibits, 2) == exhibits[:2]
    assert worst(exhibits, 3) == exhibits[:3]
    assert worst(exhibits, 9) == exhibits
