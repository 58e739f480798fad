"""Draw the README's picture, docs/masks.png, from what `make demo` wrote: scenes and the masks of three phrases each.

`python .ci/picture.py demo-out/masks` takes the overlays as they are; nothing is chosen by how well it came out: the
first and the fifth scene of each style, of each the first three phrases that name different things.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ldznet_cli.samples.record import Record, parse

ROOT = Path(__file__).resolve().parent.parent
SIDE, GAP, TEXT, PHRASES = 192, 8, 22, 3
SCENES = ("cartoon-2023-000000", "cartoon-2023-000004", "sketch-2023-000000", "sketch-2023-000004")


def rows(folder: Path) -> Iterator[list[tuple[Path, str]]]:
    """For each scene the pictures of its row, with their captions."""
    records = [parse(line) for line in (folder / "records.jsonl").read_text(encoding="utf-8").splitlines()]
    for scene in SCENES:
        own = [record for record in records if Path(record.image.name).stem == scene]
        plain = [record for record in own if " on the " not in record.phrase]
        yield [(Path(own[0].image.path), scene.partition("-")[0]), *map(_overlay, _different(plain))]


def _different(records: list[Record]) -> list[Record]:
    """The last phrase about each thing ("red flower" rather than "flower"), three of them."""
    by_word = {record.phrase.split()[-1]: record for record in records}
    return list(by_word.values())[:PHRASES]


def _overlay(record: Record) -> tuple[Path, str]:
    return Path(str(record.overlay)), f"“{record.phrase}”"


def draw(table: list[list[tuple[Path, str]]]) -> Image.Image:
    """The sheet: two scenes beside each other."""
    font = ImageFont.load_default(14)
    across = 2 * (1 + PHRASES)
    sheet = Image.new(
        "RGB", (across * (SIDE + GAP) + GAP, len(table) // 2 * (SIDE + GAP + TEXT) + GAP), "white"
    )
    pen = ImageDraw.Draw(sheet)
    for number, row in enumerate(table):
        for column, (path, caption) in enumerate(row):
            x = GAP + (number % 2 * (1 + PHRASES) + column) * (SIDE + GAP)
            y = GAP + number // 2 * (SIDE + GAP + TEXT)
            sheet.paste(
                Image.open(path).convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS), (x, y)
            )
            pen.text((x + SIDE / 2, y + SIDE + 3), caption, fill="black", font=font, anchor="ma")
    return sheet


if __name__ == "__main__":
    target = ROOT / "docs" / "masks.png"
    target.parent.mkdir(exist_ok=True)
    draw(list(rows(Path(sys.argv[1])))).save(target, optimize=True)
    print(target)
