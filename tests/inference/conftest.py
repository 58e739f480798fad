"""Pictures of coloured squares, and random nets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.tiny_net import tiny_net


def square(path: Path, colour: str = "red", size: tuple[int, int] = (96, 64)) -> Path:
    """A white image whose left half is of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", size, "white")
    image.paste(colour, (0, 0, size[0] // 2, size[1]))
    image.save(path)
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three images in a tree."""
    folder = tmp_path / "pictures"
    square(folder / "a.png", "red")
    square(folder / "b.jpg", "blue", (40, 80))
    square(folder / "deep" / "c.png", "red", (33, 21))
    return folder


@pytest.fixture(scope="session")
def nets(tiny_ldm: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a random net of each kind, made once."""
    root, made = tmp_path_factory.mktemp("nets"), {}

    def of(kind: str) -> Path:
        if kind not in made:
            made[kind] = tiny_net(root / kind, tiny_ldm, kind)  # type: ignore[arg-type]
        return made[kind]

    return of
