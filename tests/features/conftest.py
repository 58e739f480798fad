"""A tiny LDM, a few drawn images, and what a finished cache of them looks like."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ldznet_cli.features import FeatureSettings, Plan, RunDone, Store, cache_features, plan_cache
from ldznet_cli.features.key import Storage
from ldznet_cli.ldm import DrawPolicy, FrozenLDM
from ldznet_cli.samples.images import Geometry, ImageRef, list_images

PHRASES = ["lamp", "red cup", "tree"]


@pytest.fixture(scope="session")
def ldm(tiny_ldm: Path) -> FrozenLDM:
    return FrozenLDM.load(tiny_ldm)


@pytest.fixture
def images(tmp_path: Path) -> list[ImageRef]:
    """Three images of different shapes."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number, (width, height) in enumerate([(96, 96), (120, 80), (70, 110)]):
        draw_image(folder / f"{number}.png", number, width, height)
    return list_images([folder])


def draw_image(path: Path, seed: int, width: int = 96, height: int = 96) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@dataclass(frozen=True)
class World:
    """Everything that a caching run needs, on the tiny LDM at 64 pixels."""

    ldm: FrozenLDM
    images: list[ImageRef]
    geometry: Geometry = field(default_factory=lambda: Geometry("aligned", 64))
    policy: DrawPolicy = field(default_factory=lambda: DrawPolicy(seed=3))

    def settings(self, storage: Storage = "float32", *, z_only: bool = False) -> FeatureSettings:
        return FeatureSettings.of(self.ldm, self.geometry, self.policy, storage=storage, z_only=z_only)

    def plan(
        self,
        cache: Path,
        settings: FeatureSettings | None = None,
        phrases: list[str] = PHRASES,
        draws: int = 2,
    ) -> Plan:
        asked = [(image, phrases) for image in self.images]
        return plan_cache(asked, settings or self.settings(), self.ldm, Store(cache), draws=draws)

    def fill(
        self,
        cache: Path,
        settings: FeatureSettings | None = None,
        phrases: list[str] = PHRASES,
        draws: int = 2,
        batch: int = 4,
    ) -> RunDone:
        """Run the whole plan; returns its last event."""
        plan = self.plan(cache, settings, phrases, draws)
        *_, last = cache_features(plan, self.ldm, Store(cache), batch=batch)
        assert isinstance(last, RunDone)
        return last


@pytest.fixture
def world(ldm: FrozenLDM, images: list[ImageRef]) -> World:
    return World(ldm, images)


@dataclass(frozen=True)
class Finished:
    """A cache that was filled in float32, two draws of each phrase, and where a copy of it may be spoilt."""

    world: World
    pristine: Path
    cache: Path

    @property
    def store(self) -> Store:
        return Store(self.cache)

    def of_kind(self, kind: str) -> list[Path]:
        """The files of all objects of a kind."""
        return [self.store.path_of(name) for name in self.store.names() if self.store.kind_of(name) == kind]


@pytest.fixture(scope="session")
def filled(ldm: FrozenLDM, tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Path]:
    """Two images of their own in a cache. Not to be written to."""
    folder = tmp_path_factory.mktemp("filled")
    for number, (width, height) in enumerate([(96, 96), (120, 80)]):
        draw_image(folder / f"{number}.png", number, width, height)
    world = World(ldm, list_images([folder]))
    world.fill(folder / "cache", batch=4)
    return world, folder / "cache"


@pytest.fixture
def finished(filled: tuple[World, Path], tmp_path: Path) -> Finished:
    """A finished cache, to be spoilt."""
    world, pristine = filled
    return Finished(world, pristine, shutil.copytree(pristine, tmp_path / "finished"))


@pytest.fixture
def files() -> Callable[[Path], dict[str, bytes]]:
    """Every file below a folder: relative path → bytes."""

    def below(folder: Path) -> dict[str, bytes]:
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}

    return below
