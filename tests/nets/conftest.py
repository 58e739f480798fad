"""What the tests of the nets share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.nets.oracle import Oracle


@pytest.fixture(scope="session")
def oracle(shared: Path) -> Oracle:
    """The authors' recorded numbers."""
    folder = shared / "parity"
    if not folder.is_dir():
        pytest.skip("the authors' recorded numbers (../shared/parity) are not on this machine")
    return Oracle(folder)
