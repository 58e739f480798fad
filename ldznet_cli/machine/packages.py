"""Versions: this package, Python, and everything that the package says it needs."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib import metadata

from ldznet_cli import __version__
from ldznet_cli.machine.finding import Finding

DISTRIBUTION = "ldznet-cli"
_SECTION = "versions"


def versions_of(*packages: str) -> dict[str, str]:
    """Of this package and of these, as what was made with them records it."""
    return {DISTRIBUTION: __version__, **{name: metadata.version(name) for name in packages}}


def versions() -> Iterator[Finding]:
    """What is installed; a needed package that is missing or of another version than asked for is a problem."""
    yield Finding(_SECTION, "ldznet", __version__, __version__)
    yield Finding(_SECTION, "python", platform.python_version(), platform.python_version())
    yield Finding(_SECTION, "system", platform.platform(), platform.platform())
    for line in sorted(metadata.requires(DISTRIBUTION) or (), key=str.lower):
        yield from _requirement(line)


def _requirement(line: str) -> Iterator[Finding]:
    """One line of the package's requirements. Those of an extra are only told of where they are there."""
    from packaging.requirements import Requirement

    wanted = Requirement(line)
    found = _installed(wanted.name)
    optional = wanted.marker is not None and not wanted.marker.evaluate({"extra": ""})
    if optional:
        return
    fits = found is not None and wanted.specifier.contains(found, prereleases=True)
    problem = (
        None
        if fits
        else f'{wanted.name} is {found or "missing"}: `pip install "{wanted.name}{wanted.specifier}"`'
    )
    yield Finding(_SECTION, wanted.name, found, found or "missing", problem)


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
