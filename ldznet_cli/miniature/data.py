"""Training data on disk: rendered images and their captions, in chunks that a rerun skips; and latents made of them."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ldznet_cli.miniature.recipe import DataRecipe
from ldznet_cli.miniature.scenes import STYLES, caption, render, scene_seed
from ldznet_cli.samples.atomic import open_atomically, write_atomically

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Chunk:
    """`count` consecutive training scenes of one style, from index `start` on."""

    style: str
    start: int
    count: int

    def images(self, folder: Path) -> Path:
        return folder / f"{self.style}-{self.start:06d}.npy"

    def captions(self, folder: Path) -> Path:
        return folder / f"{self.style}-{self.start:06d}.json"


def chunks(recipe: DataRecipe) -> list[Chunk]:
    """All chunks of the training set, the styles taking turns, so that a first part of it is balanced."""
    starts = range(0, recipe.scenes_per_style, recipe.chunk)
    sizes = {start: min(recipe.chunk, recipe.scenes_per_style - start) for start in starts}
    return [Chunk(style, start, sizes[start]) for start in starts for style in STYLES]


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write a .npy file, whole or not at all."""
    with open_atomically(path) as file:
        np.save(file, array)


def save_json(path: Path, content: object) -> None:
    """Write a JSON file, whole or not at all."""
    write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False).encode())


def _render_chunk(chunk: Chunk, recipe: DataRecipe, folder: Path) -> Chunk:
    scenes = [
        render(chunk.style, scene_seed(recipe.training_seed, chunk.start + i)) for i in range(chunk.count)
    ]
    save_array(chunk.images(folder), np.stack([scene.image for scene in scenes]))
    captions = [[caption(scene, draw) for draw in range(recipe.captions_per_scene)] for scene in scenes]
    save_json(chunk.captions(folder), captions)
    return chunk


def render_training_set(recipe: DataRecipe, folder: Path, *, workers: int = 1) -> Iterator[Chunk]:
    """Render what is missing of the training set into `folder`; yields each chunk as it is written.

    A chunk is two files: images uint8 (n, 128, 128, 3) as .npy, then captions as JSON (its presence says: whole).
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [chunk for chunk in chunks(recipe) if not chunk.captions(folder).exists()]
    job = partial(_render_chunk, recipe=recipe, folder=folder)
    if workers <= 1:
        yield from map(job, missing)
        return
    with ProcessPoolExecutor(workers, initializer=_leave_interrupts_to_the_caller) as pool:
        yield from pool.map(job, missing)


def _leave_interrupts_to_the_caller() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def training_images(recipe: DataRecipe, folder: Path, *, per_style: int | None = None) -> list[Images]:
    """Memory-mapped images, one array (n, 128, 128, 3) a chunk, of the first `per_style` scenes of each style."""
    limit = recipe.scenes_per_style if per_style is None else per_style
    wanted = [chunk for chunk in chunks(recipe) if chunk.start < limit]
    return [np.load(chunk.images(folder), mmap_mode="r")[: limit - chunk.start] for chunk in wanted]


def training_captions(recipe: DataRecipe, folder: Path) -> list[list[str]]:
    """Captions of every training scene, `captions_per_scene` each, in the order of `training_images`."""
    return [
        captions
        for chunk in chunks(recipe)
        for captions in json.loads(chunk.captions(folder).read_text("utf-8"))
    ]
