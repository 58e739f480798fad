"""The world of these tests, in a folder of its own for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.evaluation.world import write_world


@pytest.fixture
def gt(tmp_path: Path) -> Path:
    """A COCO-style file beside its images."""
    return write_world(tmp_path)
