"""The frozen LDM's own fixtures: the parity oracle's model, and a cache folder that is not the user's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.ldm.official import load_recipe, write_official_ldm


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remembered hashes go to a folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def parity(shared: Path) -> Path:
    """The numbers recorded from the authors' networks."""
    return shared / "parity"


@pytest.fixture(scope="session")
def recipe(parity: Path) -> Any:
    """Weights and inputs from their names."""
    return load_recipe(parity)


@pytest.fixture(scope="session")
def official_ldm(parity: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The oracle's small Stable Diffusion (UNet and first stage) as a diffusers folder."""
    return write_official_ldm(parity, tmp_path_factory.mktemp("official") / "ldm")
