"""The real Ray: the same bytes as without it, whatever happens to its workers and nodes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ldznet_cli.cli import main
from ldznet_cli.errors import CacheError, EngineError
from ldznet_cli.features import RunDone, Store, UnitDone, cache_features
from ldznet_cli.ldm import FrozenLDM
from ldznet_cli.ray_engine import RayEngine
from tests.faults.jobs import loading, squaring
from tests.faults.scene import until, world_of
from tests.tiny_net import tiny_net

ray = pytest.importorskip("ray", reason="Ray is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")

Files = Callable[[Path], dict[str, bytes]]


@pytest.fixture
def cluster() -> Iterator[tuple[Any, Any]]:
    """Two nodes of one CPU each on this machine, and the one that may go."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        second = made.add_node(num_cpus=1)
        made.wait_for_nodes()
        yield made, second
    finally:
        ray.shutdown()
        made.shutdown()


def test_a_cluster_of_our_own() -> None:
    """Started for a run, shared by its workers, and gone afterwards."""
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        engine = RayEngine(workers=2, chunk=2)
        found = list(engine.run(squaring, range(12)))
        assert [square for square, _ in found] == [item * item for item in range(12)]
        results, processes = engine.run(squaring, range(100, 100_000)), set()
        while len(processes) < 2:  # the second one may be slow to start; StopIteration where it never comes
            processes.add(next(results)[1])
        results.close()
        with pytest.raises(CacheError, match="no root: -4"):
            list(engine.run(squaring, [1, 2, -4]))
        with pytest.raises(
            EngineError, match="2 workers were lost over the same work, .* the same command goes on"
        ):
            list(RayEngine(workers=1, retries=1).run(squaring, [1, 13, 2]))
        with pytest.raises(EngineError, match="a worker of 3 CPUs and 0 GPUs on one node has no room"):
            list(RayEngine(threads_per_worker=3).run(squaring, [1]))
    finally:
        ray.shutdown()


def test_workers_and_nodes_that_die(
    ldm: FrozenLDM, tmp_path: Path, cluster: tuple[Any, Any], files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    """First a whole run by the command; then one in which a worker's process is killed, and then a whole node."""
    nodes, second = cluster
    world, cache = world_of(ldm, tmp_path / "images", 60), tmp_path / "by-ray"
    arguments = ["cache-features", str(tmp_path / "images"), "--prompt", "lamp", "--ldm", str(ldm.folder)]
    arguments += ["--size", "64", "--batch", "4", "--cache"]
    assert main([*arguments, str(tmp_path / "local"), "--threads", "1"]) == 0
    assert (
        main([*arguments, str(cache), "--engine", "ray", "--address", nodes.address, "--workers", "2"]) == 0
    )
    assert "wrote " in capsys.readouterr().err
    assert files(cache) == files(tmp_path / "local")
    assert not ray.is_initialized()

    notes, cache = tmp_path / "notes", tmp_path / "killed"
    notes.mkdir()
    engine = RayEngine(nodes.address, workers=2, chunk=2)
    plan, events = world.plan(cache, draws=3), []
    run = cache_features(
        plan, ldm, Store(cache), batch=4, threads=1, engine=engine, load=loading(ldm.folder, notes)
    )
    for event in run:
        events.append(event)
        units = sum(isinstance(event, UnitDone) for event in events)
        if units == 3:
            until(lambda: len(list(notes.iterdir())) == 2)
            os.kill(next(int(path.name) for path in notes.iterdir()), signal.SIGKILL)
        if units == 12:
            until(lambda: len(list(notes.iterdir())) == 3)
            assert second.node_id in {path.read_text() for path in notes.iterdir()}
            nodes.remove_node(second, allow_graceful=False)
    assert isinstance(events[-1], RunDone)
    assert [event.unit for event in events if isinstance(event, UnitDone)] == list(plan.todo)
    list(
        cache_features(
            world.plan(tmp_path / "alone", draws=3), ldm, Store(tmp_path / "alone"), batch=4, threads=1
        )
    )
    Store(cache).sweep()  # what the dead left half written
    assert files(cache) == files(tmp_path / "alone")


def test_masks_by_workers(
    ldm: FrozenLDM,
    tmp_path: Path,
    files: Callable[[Path], dict[str, bytes]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The same records, files and exit code; an image that is damaged is left out; mended, it alone is made."""
    world_of(ldm, tmp_path / "images", 4)
    tiny_net(tmp_path / "net", ldm.folder)
    whole, damaged = (tmp_path / "images" / "0002.png").read_bytes(), tmp_path / "images" / "0002.png"
    damaged.write_bytes(whole[:60])
    asked = ["segment", "../images", "--prompt", "lamp", "--prompt", "red tree", "--model", "../net", "--ldm"]
    asked += [os.path.relpath(ldm.folder, tmp_path / "here"), "--no-overlay", "--device", "cpu"]
    engines = {"here": [], "there": ["--engine", "ray", "--workers", "2"]}
    before, found = torch.get_num_threads(), {}
    torch.set_num_threads(1)
    for name, engine in engines.items():
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert main([*asked, *engine]) == 3
        first = capsys.readouterr()
        assert "1 of 4 images failed" in first.err
        found[name] = first.out, files(tmp_path / name)
    torch.set_num_threads(before)
    assert found["here"] == found["there"]
    assert not ray.is_initialized()
    damaged.write_bytes(whole)
    assert main([*asked, *engines["there"]]) == 0
    assert "6 of them there already" in capsys.readouterr().err
