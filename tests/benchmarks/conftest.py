"""Benchmarks are scripts beside the package: each imports its neighbours by their bare names."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Their folder on the path, and a cache folder that is the test's own."""
    monkeypatch.syspath_prepend(Path(__file__).parent.parent.parent / "benchmarks")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
