"""`ldznet doctor`: what this machine has for the other verbs, what is wrong with it, and what to do about that."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ldznet_cli.cli import console, options, settings
from ldznet_cli.errors import LdznetError

if TYPE_CHECKING:
    from ldznet_cli.machine.finding import Finding

SCHEMA = "ldznet.doctor/1"


def doctor(ctx: typer.Context, as_json: options.Json = False, quiet: options.Quiet = False) -> None:
    """Look at versions, devices, dtypes, weights, cache, disk and shell completion.

    Nothing is changed and no network is asked. The dtypes named fast are those that the processor declares
    instructions for. The exit code is 1 when something is wrong; each problem is named with what to do.

    \b
    Examples:
      ldznet doctor
      ldznet doctor --json | jq '.devices.cpu.fast_dtypes'
    """
    findings = list(_findings(ctx))
    if as_json:
        console.emit(json.dumps(_as_json(findings), indent=2))
    else:
        for line in _lines(findings):
            console.emit(line)
    problems = [finding for finding in findings if finding.problem]
    if problems:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise LdznetError(f"{count}; the first, {problems[0].name}: {problems[0].problem}")


def _findings(ctx: typer.Context) -> Iterator[Finding]:
    from ldznet_cli.cli import surroundings
    from ldznet_cli.config import user_cache
    from ldznet_cli.machine import devices, disk, packages

    yield from packages.versions()
    yield from devices.devices()
    yield from surroundings.weights()
    group = ctx.find_root().command
    yield from surroundings.settings_file(
        lambda content: settings.default_map(group, content, os.environ)  # type: ignore[arg-type]
    )
    yield surroundings.own_cache()
    from huggingface_hub import constants

    places = {"here": Path(), "cache": user_cache(), "hub": Path(constants.HF_HUB_CACHE)}
    yield from disk.space({**places, "temporary": Path(tempfile.gettempdir())})
    yield surroundings.completion()


def _as_json(findings: Sequence[Finding]) -> Mapping[str, Any]:
    sections: dict[str, dict[str, Any]] = {}
    for finding in findings:
        sections.setdefault(finding.section, {})[finding.name] = finding.value
    problems = [
        {"section": finding.section, "name": finding.name, "problem": finding.problem}
        for finding in findings
        if finding.problem
    ]
    return {"schema": SCHEMA, **sections, "problems": problems}


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    """One line a finding, headed by its section where that begins; a problem stands below what it is about."""
    section = ""
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        if finding.section != section:
            section = finding.section
            yield section
        yield f"  {'!' if finding.problem else ' '} {finding.name:{width}}  {finding.shown}"
        if finding.problem:
            yield f"    {'':{width}}  → {finding.problem}"
