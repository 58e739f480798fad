"""The seed of the test scenes: drawn from the commit of the protocol, so that nobody could know them before it."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

from ldznet_cli.errors import ModelError, UsageError
from ldznet_cli.miniature.data import save_json
from ldznet_cli.miniature.paper.protocol import Protocol

NOTE = "test-seed.json"
PAGE = "protocol.md"


def test_seed(docs: Path, protocol: Protocol) -> int:
    """The seed that `docs/test-seed.json` holds for this protocol; drawn now if there is none yet.

    Raises UsageError as long as `docs/protocol.md` is not committed as it stands.
    """
    note = docs / NOTE
    if note.exists():
        drawn = {int(entry["version"]): entry for entry in json.loads(note.read_text("utf-8"))["drawn"]}
        if protocol.version in drawn:
            return _checked(drawn[protocol.version], protocol, note)
    else:
        drawn = {}
    commit = _commit_of(docs / PAGE)
    seed = seed_of(commit)
    drawn[protocol.version] = {
        "version": protocol.version, "protocol": protocol.digest, "commit": commit, "seed": seed,
    }  # fmt: skip
    save_json(note, {"drawn": [drawn[version] for version in sorted(drawn)]})
    return seed


def seed_of(commit: str) -> int:
    """The first four bytes of the SHA-256 of a commit's name, as a number."""
    return int.from_bytes(hashlib.sha256(commit.encode()).digest()[:4], "big")


def _checked(entry: dict[str, object], protocol: Protocol, note: Path) -> int:
    if entry["protocol"] != protocol.digest:
        raise ModelError(
            f"{note}: version {protocol.version} of the protocol has changed since its test seed was drawn: "
            "a changed protocol needs a new version"
        )
    return int(str(entry["seed"]))


def _commit_of(page: Path) -> str:
    changed = _git(page, "status", "--porcelain", "--", page.name)
    commit = _git(page, "log", "-1", "--format=%H", "--", page.name)
    if changed or not commit:
        raise UsageError(
            f"{page} is not committed as it stands: commit it first, since the test scenes' seed is drawn from its "
            "commit, so that nobody can know them before"
        )
    return commit


def _git(page: Path, *arguments: str) -> str:
    try:
        asked = subprocess.run(
            ["git", *arguments], cwd=page.parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise UsageError(f"{page}: no git repository to draw the test scenes' seed from ({error})") from error
    return asked.stdout.strip()
