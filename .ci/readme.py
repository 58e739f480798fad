"""Write the README's generated blocks: the help text, the table of commands, the file tree.

`python .ci/readme.py` rewrites them; with --check it only fails, with a diff, when they are out of date.
"""

from __future__ import annotations

import ast
import difflib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import typer

from ldznet_cli.cli import app, settings

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"

# What has no docstring to take its comment from.
COMMENTS = {
    "tests/": "mirror the package's folders; `make test`",
    "sample_data/": "24 rendered scenes with their masks, for the demo",
    "docs/": "pictures and longer texts",
    "benchmarks/": "how fast it is, against what",
    ".ci/": "`run`: what continuous integration does; `readme.py`: writes this tree; `picture.py`: docs/masks.png",
    "Makefile": "demo, test, soak, check, format, miniature, paper, clean",
    "pyproject.toml": "the package, its dependencies, the settings of every tool",
    "constraints.txt": "the exact versions that are tested",
    "CHANGELOG.md": "what changed",
}


def help_block() -> str:
    """What `ldznet --help` prints, 80 columns wide."""
    group = typer.main.get_command(app)
    context = group.make_context(
        "ldznet", [], resilient_parsing=True, terminal_width=80, max_content_width=80
    )
    return f"```\n$ ldznet --help\n{context.get_help()}\n```"


def commands_block() -> str:
    """One row a command: what it does."""
    rows = ["| command | what it does |", "|---|---|"]
    for name, command in settings.leaves(typer.main.get_command(app)):
        rows.append(f"| `ldznet {name}` | {command.help.partition(chr(10))[0].rstrip('.')} |")
    return "\n".join(rows)


def tree_block() -> str:
    """Every Python file of the package with the first line of its docstring, and the top level."""
    lines = [
        *_package(ROOT / "ldznet_cli"),
        *((name, text) for name, text in COMMENTS.items() if (ROOT / name).exists()),
    ]
    width = max(len(name) for name, _ in lines) + 2
    return "```\n" + "\n".join(f"{name:{width}}{text}".rstrip() for name, text in lines) + "\n```"


def _package(folder: Path, depth: int = 0) -> Iterator[tuple[str, str]]:
    yield "  " * depth + folder.name + "/", _comment(folder / "__init__.py")
    entries = [entry for entry in folder.iterdir() if entry.name != "__init__.py"]
    for entry in sorted(entries, key=lambda entry: (entry.is_dir(), entry.name)):
        if (entry / "__init__.py").is_file():
            yield from _package(entry, depth + 1)
        elif entry.suffix == ".py":
            yield "  " * (depth + 1) + entry.name, _comment(entry)


def _comment(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if not docstring:
        raise SystemExit(
            f"{path.relative_to(ROOT)}: its first line must be a docstring that says what it is for"
        )
    return docstring.partition("\n")[0].rstrip(".")


def generated(readme: str) -> str:
    """`readme` with every block between `<!-- name: generated -->` and `<!-- /name -->` made anew."""
    for name, make in {"help": help_block, "commands": commands_block, "tree": tree_block}.items():
        pattern = re.compile(rf"(<!-- {name}: generated[^>]*-->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not pattern.search(readme):
            raise SystemExit(f"README.md: the block '{name}' is missing")
        block = make()
        readme = pattern.sub(lambda found, block=block: f"{found[1]}{block}\n{found[2]}", readme)
    return readme


def main() -> int:
    """Rewrite the README, or with --check compare it."""
    before = README.read_text(encoding="utf-8")
    after = generated(before)
    if "--check" not in sys.argv[1:]:
        README.write_text(after, encoding="utf-8")
        return 0
    diff = difflib.unified_diff(
        before.splitlines(), after.splitlines(), "README.md", "generated", lineterm=""
    )
    report = "\n".join(diff)
    if report:
        print(report + "\nREADME.md is out of date: `make format` rewrites it")
    return bool(report)


if __name__ == "__main__":
    sys.exit(main())
