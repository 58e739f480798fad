"""A stable part of a data set, by the content of its images: for schedulers that only count."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ldznet_cli.errors import UsageError


@dataclass(frozen=True)
class Shard:
    """Number `number` of `count` parts, counted from 1. The same image is always in the same one, by whatever name."""

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From "3/8". Raises UsageError."""
        found = re.fullmatch(r"([0-9]+)/([0-9]+)", text)
        number, count = (int(part) for part in found.groups()) if found else (0, 0)
        if not 1 <= number <= count:
            raise UsageError(f"--shard {text!r}: expected I/N, the parts counted from 1, as in 1/8 … 8/8")
        return cls(number, count)

    def holds(self, sha256: str) -> bool:
        """Whether what has this SHA-256 is in this part."""
        return int(sha256[:16], 16) % self.count == self.number - 1

    def of(self, file: str) -> str:
        """A file's name, so that no part writes over another's: "failed.jsonl", "failed.3-of-8.jsonl"."""
        stem, dot, suffix = file.rpartition(".")
        return file if self.count == 1 else f"{stem}.{self.number}-of-{self.count}{dot}{suffix}"


WHOLE = Shard()
"""All of it."""
