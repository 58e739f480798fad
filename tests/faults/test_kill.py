"""kill -9: whatever is killed, wherever, the next run makes what is missing and nothing else."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from ldznet_cli.features import Store
from ldznet_cli.features.manifest import Manifest
from ldznet_cli.ldm import FrozenLDM
from tests.faults.scene import all_whole, ended, forked, is_finished, kill, objects_in, until, world_of
from tests.features.conftest import World

Files = Callable[[Path], dict[str, bytes]]

KILLS = int(os.environ.get("KILLS", "2"))
"""How often the real command is killed: `make soak` does it 50 times."""

BATCH, PASSES = 4, 2  # a unit of 3 phrases and 2 draws takes two batches


class Half(io.FileIO):
    """A file of which only half is ever written."""

    def write(self, data: Any) -> int:
        super().write(data[: len(data) // 2])
        os.kill(os.getpid(), 9)
        return 0


def die_at(point: str) -> None:
    """From now on this process kills itself at `point`, as soon as it has put a new object into the cache."""
    saved: list[Path] = []
    rename, synced, opened, finish = Path.replace, os.fsync, Path.open, Manifest.write

    def replace(self: Path, target: Path) -> Path:
        if point == "before the rename" and saved:
            kill(os.getpid())
        done = rename(self, target)
        saved.append(target)
        return done

    def fsync(file: int) -> None:
        if point == "before the sync" and saved:
            kill(os.getpid())
        synced(file)

    def open_half(self: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
        return Half(self, mode) if mode == "xb" and saved else opened(self, mode, *rest, **named)

    def write(self: Manifest, cache: Any) -> str:
        if saved:
            kill(os.getpid())
        return finish(self, cache)

    Path.replace, os.fsync = replace, fsync  # type: ignore[assignment, method-assign]
    if point == "half written":
        Path.open = open_half  # type: ignore[assignment, method-assign]
    if point == "before the manifest":
        Manifest.write = write  # type: ignore[method-assign]


def count_passes(log: Path) -> None:
    """From now on this process leaves a letter in `log` for each time that the LDM has computed something."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for name in ("encode_image", "encode_text", "features"):
        original = getattr(FrozenLDM, name)

        def call(*arguments: Any, _original: Any = original, _name: str = name, **named: Any) -> Any:
            found = _original(*arguments, **named)
            os.write(file, _name[-1].encode())
            return found

        setattr(FrozenLDM, name, call)


def run(world: World, cache: Path, log: Path, point: str | None) -> None:
    """In a child: all that is missing."""
    count_passes(log)
    if point:
        die_at(point)
    world.fill(cache, batch=BATCH)


def points(kills: int) -> Iterator[str | None]:
    """Where a run is to die; None: anywhere. The manifest comes after all else, so that is the last of a round."""
    named = cycle(["half written", "before the sync", "before the rename"])
    for number in range(kills - 1):
        yield next(named) if number % 3 == 0 else None
    yield "before the manifest"


def killed(world: World, cache: Path, log: Path, point: str | None) -> bool:
    """Whether a run over the cache died, after at least one new object; else it was too quick for us."""
    before = objects_in(cache)
    child = forked(lambda: run(world, cache, log, point))
    if point is None:
        until(lambda: objects_in(cache) > before or is_finished(cache))
        kill(child)
    if (code := ended(child)) == 0:
        assert is_finished(cache)
        return False
    assert code == -9
    assert objects_in(cache) > before
    assert all_whole(cache)
    return True


def test_fifty_kills(ldm: FrozenLDM, tmp_path: Path, files: Files) -> None:
    """Rounds of ten: each ends with the cache of an uninterrupted run, file for file and byte for byte."""
    world, kills, at = world_of(ldm, tmp_path / "images", 20), 0, []
    world.fill(tmp_path / "whole", batch=BATCH)
    whole, prompts = files(tmp_path / "whole"), len(world.plan(tmp_path / "none").prompts)
    for round_ in range(12):
        cache, log, here = tmp_path / str(round_), tmp_path / f"{round_}.log", 0
        for point in points(10):
            if killed(world, cache, log, point):
                here += 1
                at.append(point)
            if is_finished(cache):
                break
        assert ended(forked(lambda cache=cache, log=log: run(world, cache, log, None))) == 0
        assert files(cache) == whole
        done = log.read_text()
        images = len(world.images)
        assert images * PASSES <= done.count("s") <= (images + here) * PASSES
        assert images <= done.count("e") <= images + here
        assert prompts <= done.count("t") <= prompts + 16 * here
        kills += here
        if kills >= 50:
            break
    assert kills >= 50
    assert set(at) == {None, "half written", "before the sync", "before the rename", "before the manifest"}
    assert sum(point is not None for point in at) >= kills // 3


def test_kills_of_the_real_command(ldm: FrozenLDM, tmp_path: Path, files: Files) -> None:
    """5 of them, and 50 by `make soak`: each after a new object at least."""
    world = world_of(ldm, tmp_path / "images", 8 + 4 * KILLS)
    arguments = [
        "--ldm",
        str(ldm.folder),
        "--size",
        "64",
        "--batch",
        "2",
        "--draws",
        "4",
        "--threads",
        "1",
        "-q",
    ]
    command = [sys.executable, "-m", "ldznet_cli", "cache-features", str(tmp_path / "images"), *arguments]
    command += ["--prompt", "lamp", "--prompt", "tree", "--cache"]
    surroundings = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "user")}
    assert world.images
    cache, kills = tmp_path / "killed", 0
    for _ in range(KILLS):
        before = objects_in(cache)
        with subprocess.Popen([*command, str(cache)], env=surroundings) as process:
            until(lambda before=before: objects_in(cache) > before or is_finished(cache))
            process.kill()
        kills += process.returncode == -9
        assert all_whole(cache)
    assert kills == KILLS
    for name in ("killed", "whole"):
        subprocess.run([*command, str(tmp_path / name)], env=surroundings, check=True)
    assert files(cache) == files(tmp_path / "whole")


@pytest.mark.parametrize("point", ["half written", "before the sync", "before the rename"])
def test_a_death_leaves_a_temporary_file_that_the_next_run_sweeps(
    ldm: FrozenLDM, tmp_path: Path, point: str
) -> None:
    """So the points above are what they are called."""
    world, cache = world_of(ldm, tmp_path / "images", 2), tmp_path / "cache"
    assert killed(world, cache, tmp_path / "log", point)
    left = [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".safetensors"]
    assert left
    assert Store(cache).sweep() == len(left)
    world.fill(cache)
    assert {path.suffix for path in cache.rglob("*") if path.is_file()} == {".safetensors", ".json"}
