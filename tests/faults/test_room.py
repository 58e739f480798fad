"""No room: on the disk, and in memory."""

from __future__ import annotations

import re
import resource
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ldznet_cli.cli import main
from ldznet_cli.errors import LdznetError
from ldznet_cli.features import CachedFeatures, FeatureItem, RunDone, Store, UnitDone, cache_features
from ldznet_cli.features.key import digest
from ldznet_cli.ldm import FrozenLDM
from ldznet_cli.samples.images import sha256_of
from tests.faults.scene import all_whole, ended, forked, objects_in, until, world_of
from tests.features.conftest import World

Files = Callable[[Path], dict[str, bytes]]

ROW, REST = 64 << 20, 128 << 20
"""Bytes that a model takes for each row of a batch, and for everything else."""

STATUS = Path("/proc/self/status")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A real one of 4 MB, where the tests may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk to fill")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill_up(disk: Path, once: Callable[[], bool]) -> Path:
    """Another user of the disk: writes until nothing more goes onto it."""
    ballast = disk / "ballast"
    until(once)
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return ballast


def test_a_disk_that_runs_full_in_mid_run(
    ldm: FrozenLDM, tmp_path: Path, disk: Path, files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    world_of(ldm, tmp_path / "images", 40)
    arguments = ["cache-features", str(tmp_path / "images"), "--prompt", "lamp", "--prompt", "tree"]
    arguments += ["--ldm", str(ldm.folder), "--size", "64", "--draws", "2", "--threads", "1", "--cache"]
    cache = disk / "cache"
    other = threading.Thread(target=fill_up, args=(disk, lambda: objects_in(cache) > 4))
    other.start()
    assert main([*arguments, str(cache)]) == 1
    other.join()
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("ldznet: error: no space left to write ")
    assert "make room and run the same command again" in told
    kept = objects_in(cache)
    assert kept > 4
    assert all_whole(cache)
    (disk / "ballast").unlink()
    assert main([*arguments, str(cache)]) == 0
    assert f"{kept} already there" in capsys.readouterr().err
    assert main([*arguments, str(tmp_path / "whole")]) == 0
    assert files(cache) == files(tmp_path / "whole")


def in_little_memory(model: Callable[..., Any]) -> Callable[..., Any]:
    """`model`, with an appetite, where there is memory for 6 rows: it is the operating system that says no."""

    def limited(self: FrozenLDM, z: torch.Tensor, *rest: Any) -> Any:
        [has] = re.findall(r"VmData:\s+([0-9]+) kB", STATUS.read_text())
        before = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (int(has) * 1024 + 6 * ROW + REST, before[1]))
        try:
            appetite = torch.empty(len(z), ROW, dtype=torch.uint8)
            return model(self, z + 0 * appetite[0, 0], *rest)
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, before)

    return limited


def halve(world: World, cache: Path) -> None:
    """In a child: units of 12 rows."""
    FrozenLDM.features = in_little_memory(FrozenLDM.features)  # type: ignore[method-assign]
    *events, done = cache_features(world.plan(cache, draws=4), world.ldm, Store(cache), batch=12, threads=1)
    assert isinstance(done, RunDone)
    assert [event.reduced for event in events if isinstance(event, UnitDone)] == [6, 6]
    cached = CachedFeatures.open(cache)
    for image in world.images:
        unit = cached.manifest.unit(sha256_of(image.path))
        keys = [cached.settings.features_key(unit.sha256, r.prompt, r.draw) for r in unit.requests]
        assert {Store(cache).read(key).made["batch"] for key in keys} == {6}


@pytest.mark.skipif(not STATUS.exists(), reason="no limit on memory on this system")
def test_out_of_memory_halves_the_batch_and_goes_on(ldm: FrozenLDM, tmp_path: Path) -> None:
    """Each object says in which batch it was made; values agree with those of any other."""
    world = world_of(ldm, tmp_path / "images", 2)
    assert ended(forked(lambda: halve(world, tmp_path / "cache"))) == 0
    world.fill(tmp_path / "usual", draws=4)
    assert world.fill(tmp_path / "cache", draws=4).objects == 0
    items = [FeatureItem("lamp", draw) for draw in range(4)]
    small, usual = (CachedFeatures.open(tmp_path / name) for name in ("cache", "usual"))
    for one, other in zip(
        small.features(world.images[1], items), usual.features(world.images[1], items), strict=True
    ):
        for index in one.blocks:
            torch.testing.assert_close(one.blocks[index], other.blocks[index], rtol=1e-5, atol=1e-5)


def test_out_of_memory_with_one_row_is_an_error(
    ldm: FrozenLDM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What PyTorch says on a CPU, and its exception for a GPU, whatever the batch."""
    world = world_of(ldm, tmp_path / "images", 1)
    for number, error in enumerate(
        [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("can't allocate memory")]
    ):

        def fail(*arguments: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(FrozenLDM, "features", fail)
        cache = tmp_path / str(number)
        with pytest.raises(
            LdznetError, match=r"out of memory with one row at a time .* try a smaller --size"
        ):
            world.fill(cache, batch=8)
        assert Store(cache).is_whole(digest(world.settings().z_key(sha256_of(world.images[0].path))))


def test_other_errors_of_the_model_are_not_taken_for_that(
    ldm: FrozenLDM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fail(*arguments: object) -> None:
        calls.append(1)
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(FrozenLDM, "features", fail)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        world_of(ldm, tmp_path / "images", 1).fill(tmp_path / "cache", batch=8)
    assert len(calls) == 1
