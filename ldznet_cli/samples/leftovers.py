"""What a killed process leaves half written: temporary files that carry the name of their writer, to be known by."""

from __future__ import annotations

import os
import re
import secrets
import socket
import sys
from functools import cache
from pathlib import Path

_PART = re.compile(r"\.ldznet\.(?P<host>[^.]*)\.(?P<pid>\d+)\.[0-9a-f]{16}\.part")


def part_name() -> str:
    """The name of a new temporary file of this process. It is short whatever the file will be called."""
    return f".ldznet.{_host()}.{os.getpid()}.{secrets.token_hex(8)}.part"


def sweep(folder: Path) -> int:
    """Delete what processes of this machine that are dead left below `folder`; returns how many files that were."""
    leftovers = [path for path in folder.rglob(".ldznet.*.part") if _is_abandoned(path.name)]
    for path in leftovers:
        path.unlink(missing_ok=True)
    return len(leftovers)


@cache
def _host() -> str:
    """Names the place where this process's number means this process: the machine, and on Linux the container."""
    namespace = Path("/proc/self/ns/pid")
    inside = str(namespace.readlink()) if namespace.is_symlink() else ""
    return re.sub(r"[^A-Za-z0-9]+", "-", f"{socket.gethostname()} {inside}").strip("-")


def _is_abandoned(name: str) -> bool:
    """Whether a temporary file's writer was a process of this machine, and is no more.

    On Windows nobody is asked: `os.kill(…, 0)` is no question there but a Ctrl-C.
    """
    parts = _PART.fullmatch(name)
    if parts is None or parts["host"] != _host() or sys.platform == "win32":
        return False
    try:
        os.kill(int(parts["pid"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
