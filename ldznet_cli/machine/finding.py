"""One thing that was looked at: what was found, and what to do where it is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """`value` is JSON; `shown` the same for people; `problem` says in one line what is wrong and what to do, None where
    nothing is."""

    section: str
    name: str
    value: Any
    shown: str
    problem: str | None = None
