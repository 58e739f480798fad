"""The page's figures, drawn from recorded results alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ldznet_cli.miniature.card_nets import NAMES
from ldznet_cli.miniature.paper.jobs import FEW, THREE, few_masks, runs_of, seeded
from ldznet_cli.miniature.paper.protocol import Protocol
from ldznet_cli.miniature.paper.results import Result, Results
from ldznet_cli.miniature.paper.scores import BEST
from ldznet_cli.miniature.paper.statistics import Estimate, mean
from ldznet_cli.reporting import figures as plots
from ldznet_cli.samples.atomic import write_atomically


def write_figures(folder: Path, results: Results, protocol: Protocol) -> list[str]:
    """All that can be drawn, as PNG in `folder`; returns their names. Raises UsageError without matplotlib."""
    names = []
    for name, png in _figures(results, protocol):
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / name, png)
        names.append(name)
    return names


def _figures(results: Results, protocol: Protocol) -> Iterator[tuple[str, bytes]]:
    nets = {NAMES[variant.kind]: runs_of(variant.name, results, protocol) for variant in THREE}
    nets = {name: runs for name, runs in nets.items() if runs}
    if nets:
        series = {
            name: [mean(runs, f"{style}/{BEST}") for style in protocol.styles] for name, runs in nets.items()
        }
        title = f"Trained on masks of {protocol.styles[0]} alone, at the best threshold"
        yield "tables.png", plots.bars(list(protocol.styles), series, title=title, y_label="mIoU")
    if (found := results.get("noise-difference-by-timestep")) is not None:
        for style in protocol.styles:
            yield f"words-{style}.png", _words(found, style, protocol)
    if (found := results.get("probes")) is not None:
        yield "probes.png", _probes(found, protocol)
    yield from _few_masks(results, protocol)


def _words(found: Result, style: str, protocol: Protocol) -> bytes:
    def curve(name: str) -> list[tuple[float, Estimate]]:
        return [(t, mean([found], f"{style}/t={t}/{name}")) for t in protocol.timesteps]

    return plots.lines(
        {"the right phrase": curve("right"), "another phrase of the image": curve("other")},
        floors={"mean of all phrases": curve("mean"), "centre": curve("centre"), "row's median": curve("row")},
        title=f"Noise-difference maps, {style}", x_label="timestep", y_label="AP",
    )  # fmt: skip


def _probes(found: Result, protocol: Protocol) -> bytes:
    blocks = sorted(found.about["blocks"].items(), key=lambda item: int(item[0]))
    values = [[found.numbers[f"block {block}/t={t}"] for t in protocol.timesteps] for block, _ in blocks]
    return plots.heat_map(
        [name for _, name in blocks], [str(t) for t in protocol.timesteps], values,
        title="AP of a probe on each block", row_label="block", column_label="timestep",
    )  # fmt: skip


def _few_masks(results: Results, protocol: Protocol) -> Iterator[tuple[str, bytes]]:
    first, most = protocol.seeds[0], protocol.scenes.scenes
    for style in protocol.styles:
        curves = {}
        for kind in FEW:
            fewer = [variant for variant in few_masks(protocol) if variant.kind == kind]
            runs = {variant.scenes or most: results.get(variant.name) for variant in fewer}
            runs[most] = results.get(seeded(kind, first))
            points = [
                (count, mean([run], f"{style}/{BEST}")) for count, run in runs.items() if run is not None
            ]
            if len(points) > 1:
                curves[NAMES[kind]] = points
        if curves:
            title = f"How few masks are enough, {style}"
            yield (
                f"few-masks-{style}.png",
                plots.lines(curves, title=title, x_label="scenes with masks", y_label="mIoU", log=True),
            )
