"""What `ldznet doctor` looks at around the program: weights, the settings of this folder, caches, shell completion."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from ldznet_cli.config import MINIATURE, SETTINGS_FILE, read_settings, user_cache
from ldznet_cli.errors import LdznetError, UsageError
from ldznet_cli.machine.finding import Finding

_COMPLETIONS = {
    "bash": ".bash_completions/ldznet.sh",
    "zsh": ".zfunc/_ldznet",
    "fish": ".config/fish/completions/ldznet.fish",
}
"""Where `ldznet --install-completion` writes, below the home folder."""


def weights() -> Iterator[Finding]:
    """The bundled LDM and LD-ZNet, which every verb takes where no others are named; what is in the hub's cache."""
    from ldznet_cli.miniature.bundle import ldm_folder, model_folder

    yield _found("weights", f"{MINIATURE} ldm", lambda: str(ldm_folder()))
    yield _found("weights", f"{MINIATURE} ldznet", lambda: _net(model_folder()))
    yield _hub()


def _net(folder: Path) -> str:
    """The folder's name. Raises ModelError where its weights are not those that its configuration names."""
    from ldznet_cli.nets.checkpoint import verify

    verify(folder)
    return str(folder)


def _hub() -> Finding:
    from huggingface_hub import CacheNotFound, constants, scan_cache_dir

    try:
        repositories = scan_cache_dir().repos
    except CacheNotFound:
        repositories = frozenset()
    models = {repo.repo_id: repo.size_on_disk for repo in sorted(repositories, key=lambda repo: repo.repo_id)}
    listed = ", ".join(f"{name} ({size / 2**20:.0f} MB)" for name, size in models.items()) or "no models"
    place = constants.HF_HUB_CACHE
    return Finding("weights", "hub", {"cache": str(place), "models": models}, f"{listed} in {place}")


def settings_file(check: Callable[[Mapping[str, Any]], object]) -> Iterator[Finding]:
    """`ldznet.toml` of this folder: whether the verbs take it, and whether the models and the cache it names are there.

    `check` raises UsageError for what no verb knows.
    """
    if not Path(SETTINGS_FILE).exists():
        yield Finding("settings", SETTINGS_FILE, None, "none here: `ldznet init` writes one")
        return
    try:
        content = read_settings()
        check(content)
    except UsageError as error:
        yield Finding("settings", SETTINGS_FILE, None, "cannot be used", str(error))
        return
    path = str(Path(SETTINGS_FILE).absolute())
    yield Finding("settings", SETTINGS_FILE, path, path)
    for where, key, value in _named(content):
        if key == "model" and value != MINIATURE:
            yield _found("weights", f"{where}model", partial(_net, Path(value)))
        elif key == "cache" and "://" not in value:
            yield _found("cache", f"{where}cache", partial(_cache, Path(value)))


def _named(content: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, str, str]]:
    """(table, key, value) of each string in the file."""
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _named(value, f"{where}{key}.")
        elif isinstance(value, str):
            yield where, key, value


def _cache(folder: Path) -> str:
    if not folder.exists():
        return f"{folder}: not there yet: `ldznet cache-features` makes it"
    from ldznet_cli.features.manifest import manifest_files

    count = len(list(manifest_files(folder)))
    return f"{folder}: {count} finished runs of `ldznet cache-features`"


def own_cache() -> Finding:
    """Where this package keeps what can be made again."""
    folder, files, size = user_cache(), 0, 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # another run's, which renames what it has written
            status = path.stat()
            if stat.S_ISREG(status.st_mode):
                files, size = files + 1, size + status.st_size
    value = {"path": str(folder), "files": files, "bytes": size}
    return Finding("cache", "own", value, f"{folder}: {files} files, {size / 2**20:.1f} MB")


def completion() -> Finding:
    """Whether the user's shell completes `ldznet`'s options, as far as its files tell."""
    shell = Path(os.environ.get("SHELL", "")).name or "unknown"
    file = _COMPLETIONS.get(shell)
    there = file is not None and (Path.home() / file).is_file()
    advice = (
        "`ldznet --install-completion` teaches it" if file else "`ldznet --show-completion bash` shows bash's"
    )
    shown = f"{shell}: " + ("installed" if there else f"not installed; {advice}")
    return Finding("completion", "shell", {"shell": shell, "installed": there}, shown)


def _found(section: str, name: str, look: Callable[[], str]) -> Finding:
    """What `look` says, or its error as the problem."""
    try:
        shown = look()
    except LdznetError as error:
        return Finding(section, name, None, "cannot be used", str(error))
    return Finding(section, name, shown, shown)
