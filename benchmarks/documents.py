"""The generated blocks of the documents that show what a benchmark measured."""

from __future__ import annotations

import re
from pathlib import Path


def write_block(document: Path, name: str, block: str) -> None:
    """`document` with all that stands between `<!-- name: generated … -->` and `<!-- /name -->` made anew."""
    text = document.read_text("utf-8")
    pattern = re.compile(rf"(<!-- {name}: generated[^>]*-->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"{document}: the block {name!r} is missing")
    document.write_text(pattern.sub(lambda found: f"{found[1]}{block}\n{found[2]}", text), "utf-8")
