"""`ldznet init`: write an `ldznet.toml` with every option of every verb, commented, made from the verbs."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from ldznet_cli.cli import console, settings
from ldznet_cli.config import SETTINGS_FILE
from ldznet_cli.errors import UsageError

_HEADER = f"""\
# {SETTINGS_FILE}: defaults for `ldznet`, run from this folder. Take the # away from what you want to set.
# A flag on the command line beats LDZNET_<OPTION> in the environment, which beats this file.
# Options that several verbs share stand first and hold for all of them; a verb's own table beats them.
"""


def init(
    ctx: typer.Context,
    force: Annotated[
        bool, typer.Option("--force", help=f"Overwrite an {SETTINGS_FILE} that is there.")
    ] = False,
) -> None:
    """Write a commented ldznet.toml, so that each verb runs with no arguments.

    \b
    Examples:
      ldznet init
      ldznet init --force
    """
    path = Path(SETTINGS_FILE)
    if path.exists() and not force:
        raise UsageError(f"{path} is already here; `ldznet init --force` overwrites it")
    path.write_text(template(ctx.find_root().command), encoding="utf-8")
    console.say(f"wrote {path}: every option with its default, commented out")


def template(group: Any) -> str:
    """A commented `ldznet.toml` for the verbs of `group`: shared options first, then each verb's own."""
    verbs = {name: settings.options_of(leaf) for name, leaf in settings.leaves(group) if _is_verb(name)}
    counts = Counter(settings.meaning_of(param) for options in verbs.values() for param in options.values())
    common = {meaning[0]: meaning for meaning, count in reversed(counts.most_common()) if count > 1}
    shared: dict[str, Any] = {}
    tables: list[str] = []
    for verb, options in verbs.items():
        ours = {key: param for key, param in options.items() if settings.meaning_of(param) == common.get(key)}
        shared = {**ours, **shared}
        tables += [f"\n[{verb}]", *_entries({key: options[key] for key in options if key not in ours})]
    return "\n".join([_HEADER, *_entries(shared), *tables]) + "\n"


def _is_verb(name: str) -> bool:
    return name != "init" and " " not in name


def _entries(options: dict[str, Any]) -> list[str]:
    """Two comment lines an option: what it means, and its default as TOML."""
    return [
        "\n".join(
            [
                textwrap.fill(param.help or key, 100, initial_indent="# ", subsequent_indent="# "),
                _line(key, param),
            ]
        )
        for key, param in options.items()
    ]


def _line(key: str, param: Any) -> str:
    several = param.nargs != 1 or getattr(param, "multiple", False)
    default = param.default
    if default is None or default == [] or default == ():
        return f"#{key} = " + ('["…"]' if several else '"…"')
    if isinstance(default, Path):
        default = str(default)
    return f"#{key} = {json.dumps(default, ensure_ascii=False)}"
