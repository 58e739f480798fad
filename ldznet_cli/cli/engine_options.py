"""The options that say where the work is done, and their reading: for every verb that runs over many items."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ldznet_cli.config import MINIATURE
from ldznet_cli.engines import CHUNK, Engine, LocalEngine
from ldznet_cli.errors import UsageError

Kind = Annotated[
    Literal["local", "ray"],
    typer.Option("--engine", help="Where the work is done: in this process, or by workers of a Ray cluster."),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT",
        help="The Ray cluster, as Ray names it; by default RAY_ADDRESS or one on this machine, started if need be.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Workers on the Ray cluster; by default as many as fit."),
]
GpusPerWorker = Annotated[
    float | None,
    typer.Option(
        "--gpus-per-worker",
        min=0.0,
        help="GPUs, or the part of one, for each worker on the Ray cluster; by default 1 where it has any.",
    ),
]
ThreadsPerWorker = Annotated[
    int | None,
    typer.Option(
        "--threads-per-worker",
        min=1,
        help="CPUs, and PyTorch's threads, for each worker on the Ray cluster; by default 1.",
    ),
]


def engine_of(
    kind: Literal["local", "ray"],
    address: str | None,
    workers: int | None,
    gpus_per_worker: float | None,
    threads: int | None,
    threads_per_worker: int | None,
    *,
    chunk: int = CHUNK,
) -> Engine:
    """`chunk` items go to a worker of Ray at once. Raises UsageError for options that belong to the other engine."""
    if kind == "ray":
        if threads is not None:
            raise UsageError("--threads belongs to --engine local; with ray, use --threads-per-worker")
        if gpus_per_worker is not None and gpus_per_worker > 1 and gpus_per_worker % 1:
            raise UsageError(
                f"--gpus-per-worker {gpus_per_worker:g}: expected a part of one GPU, or whole ones"
            )
        from ldznet_cli.ray_engine import RayEngine

        return RayEngine(address, workers, gpus_per_worker, threads_per_worker or 1, chunk)
    given = {
        "--address": address,
        "--workers": workers,
        "--gpus-per-worker": gpus_per_worker,
        "--threads-per-worker": threads_per_worker,
    }
    if alien := [name for name, value in given.items() if value is not None]:
        raise UsageError(f"{alien[0]} belongs to --engine ray")
    return LocalEngine()


def everywhere(place: str) -> str:
    """A folder or URL by a name that means the same to workers in other folders."""
    return place if "://" in place else str(Path(place).absolute())


def named_everywhere(model: str) -> str:
    """As `everywhere` for what is a folder, or else the bundled model's name, or one on a hub."""
    return everywhere(model) if model != MINIATURE and Path(model).exists() else model
