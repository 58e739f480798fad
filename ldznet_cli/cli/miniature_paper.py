"""`ldznet miniature paper`: the study, what is missing of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ldznet_cli.cli import console
from ldznet_cli.cli.building import show
from ldznet_cli.cli.interrupt import stop_on_interrupt
from ldznet_cli.cli.options import Quiet


def paper(
    work: Annotated[
        Path,
        typer.Option(
            "--work",
            metavar="DIR",
            help="The folder for scenes, caches and runs; `miniature build`'s will do.",
        ),
    ] = Path("miniature-work"),
    docs: Annotated[
        Path, typer.Option("--docs", metavar="DIR", help="The folder with protocol.md, for results/.")
    ] = Path("docs/paper"),
    job: Annotated[
        list[str] | None, typer.Option("--job", metavar="NAME", help="Do this one alone; may be repeated.")
    ] = None,
    tier: Annotated[int | None, typer.Option("--tier", min=1, max=2, help="Do this tier alone.")] = None,
    real: Annotated[
        Path | None,
        typer.Option(
            "--real",
            metavar="DIR",
            help="Real pictures: a folder with coco-instances/, coco-panoptic/, taesd/, …",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the jobs without a result, as JSON lines, and do nothing.")
    ] = False,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that draw scenes.")] = 1,
    quiet: Quiet = False,
) -> None:
    """Reproduce the paper's tables and figures in the miniature world: hours on two cores.

    Every finished job is one JSON in docs/paper/results, which should be committed; a job that has one is not done
    again. Stop it at any time with Ctrl-C: the same command goes on from there.

    \b
    Examples:
      ldznet miniature paper --dry-run
      ldznet miniature paper --tier 1
      ldznet miniature paper --job znet-s0
    """
    from ldznet_cli.miniature.paper.material import World
    from ldznet_cli.miniature.paper.protocol import Protocol
    from ldznet_cli.miniature.paper.run import Study
    from ldznet_cli.miniature.paper.seed import test_seed
    from ldznet_cli.miniature.recipe import official

    protocol = Protocol()
    with stop_on_interrupt() as stop:
        world = World(
            work,
            protocol,
            official(),
            lambda: test_seed(docs, protocol),
            docs / "figures",
            workers,
            real,
            stop,
        )
        study = Study(world, docs)
        todo = study.missing(job or (), tier)
        if dry_run:
            for each in todo:
                console.emit(json.dumps({"job": each.name, "tier": each.tier, "tested": each.tested}))
            console.say(study.state())
            return
        show(study.run(todo))
    console.say(f"{study.state()}: {study.write_page()}")
