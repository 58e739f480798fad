"""Every link from one of our documents to another leads to a file that is there, and to a heading in it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("ldznet_cli/**/*.md")])


@cache
def prose(document: Path) -> str:
    """Its text without fenced code, in which brackets are no links and # begins no heading."""
    return re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def headings(document: Path) -> set[str]:
    """The fragments that GitHub makes of the headings: lower case, - for a space, no other punctuation."""
    found = re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def dead(document: Path) -> list[str]:
    """Its links that lead nowhere."""
    found = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(document)):
        file, _, heading = link.partition("#")
        target = document.parent / file if file else document
        if "://" in link or (target.exists() and (not heading or heading in headings(target))):
            continue
        found.append(link)
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(document: Path) -> None:
    assert dead(document) == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("# Two words, and `code`\n```\n# none\n```\n", encoding="utf-8")
    (tmp_path / "a.md").write_text(
        "# Here\n[1](b.md#two-words-and-code) [2](#here) [3](b.md#none) [4](c.md) [5](https://a.b/#c)\n",
        encoding="utf-8",
    )
    assert dead(tmp_path / "a.md") == ["b.md#none", "c.md"]
