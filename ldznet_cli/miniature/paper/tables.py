"""The study's tables of nets beside nets, each from the results that are there; empty where none is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from ldznet_cli.miniature.card_nets import NAMES
from ldznet_cli.miniature.markdown import table
from ldznet_cli.miniature.paper.cells import (
    NONE,
    beside,
    chance,
    columns_beside,
    interval,
    millions,
    minutes,
    number,
    share,
    verdict,
)
from ldznet_cli.miniature.paper.jobs import RANDOM_LDM, THREE, runs_of, seeded, tuning
from ldznet_cli.miniature.paper.nets import CONTROLS
from ldznet_cli.miniature.paper.protocol import Protocol
from ldznet_cli.miniature.paper.results import Result, Results
from ldznet_cli.miniature.paper.scores import BEST, OWN
from ldznet_cli.miniature.paper.statistics import difference, mean
from ldznet_cli.nets.config import KINDS
from ldznet_cli.reporting.published import FUSION, Published

COLUMNS = (
    "mIoU@0.3", "mIoU@0.5", "mIoU@best", "mIoU@own", "IoU_FG@0.3", "IoU_FG@0.5", "IoU_FG@best", "AP", "AP_exact",
)  # fmt: skip
PRECISION = "all/AP_exact"
COMPARED = ("mIoU@best", "mIoU@own", "IoU_FG@best", "AP_exact")


def learning_rates(results: Results, protocol: Protocol) -> str:
    """Validation mIoU of each net at each rate."""
    rows = []
    for kind in KINDS:
        found = [results.get(tuning(kind, rate)) for rate in protocol.learning_rates]
        rows.append((NAMES[kind], *(NONE if r is None else share(r.about["best"]["miou"]) for r in found)))
    if (clipseg := results.get("clipseg")) is not None:
        tried = {float(rate): run["miou"] for rate, run in clipseg.about["rates"].items()}
        rows.append(("CLIPSeg's decoder", *(share(tried[rate]) for rate in protocol.learning_rates)))
    return table(("net", *(f"{rate:g}" for rate in protocol.learning_rates)), rows) if _any(rows) else ""


def main(style: str, subset: str, results: Results, protocol: Protocol) -> str:
    """Tables (a) and (b), for one style and one kind of phrases: the nets, then the steps from one to the next."""
    nets = {NAMES[variant.kind]: runs_of(variant.name, results, protocol) for variant in THREE}
    nets = {name: runs for name, runs in nets.items() if runs}
    if not nets:
        return ""
    prefix, some = f"{style}/{subset}", next(iter(nets.values()))
    columns = [name for name in COLUMNS if f"{prefix}/{name}" in some[0].numbers]
    validated = prefix == f"{protocol.styles[0]}/all"
    rows = [
        (
            name,
            str(len(runs)),
            millions(runs),
            minutes(runs),
            *([_validation(runs)] if validated else []),
            *(number(runs, f"{prefix}/{c}") for c in columns),
        )
        for name, runs in nets.items()
    ]
    text = f"{subset} ({some[0].samples[prefix]} phrases), in %:\n\n"
    header = ("net", "seeds", "M parameters", "minutes", *(["validation"] if validated else []))
    text += table((*header, *columns), rows)
    steps = list(_steps(nets, prefix, protocol))
    header = ("difference", "number", "points, 95 % interval", "p", "order")
    return text + ("\n" + table(header, steps) if steps else "")


def _validation(runs: Sequence[Result]) -> str:
    """mIoU of the weights that were chosen, on the samples that they were chosen on."""
    return share(sum(run.about["best"]["miou"] for run in runs) / len(runs))


def _steps(
    nets: Mapping[str, Sequence[Result]], prefix: str, protocol: Protocol
) -> Iterator[tuple[str, ...]]:
    for low, high in pairwise(nets):
        for metric in COMPARED:
            found = difference(nets[high], nets[low], f"{prefix}/{metric}")
            yield (
                f"{high} less {low}",
                metric,
                interval(found),
                chance(found),
                verdict(found, protocol, "higher", "**lower**"),
            )


OWN_NETS = (*NAMES.values(), *(row[0] for row in FUSION.rows))


def papers(published: Published, where: str, names: Sequence[str] = OWN_NETS) -> str:
    """The paper's own rows, of its own nets on other data: `where`; `names` begin those that are wanted."""
    rows = [row for row in published.rows if row[0].startswith(tuple(names))]
    shown = table(("the paper's", *published.columns[1:]), rows)
    return f"The paper's own, on {where}. {published.note}\n\n{shown}"


def validated(results: Results, protocol: Protocol) -> str:
    """Validation mIoU of the nets that were run with several seeds, seed by seed."""
    named = {
        **{variant.name: NAMES[variant.kind] for variant in THREE},
        RANDOM_LDM.name: "LD-ZNet on a random LDM",
    }
    rows = []
    for name, title in named.items():
        runs = [results.get(seeded(name, seed)) for seed in protocol.seeds]
        found = [run for run in runs if run is not None]
        if found:
            cells = (NONE if run is None else _validation([run]) for run in runs)
            rows.append((title, *cells, _validation(found)))
    return table(("net", *(f"seed {seed}" for seed in protocol.seeds), "mean"), rows) if rows else ""


def controls(results: Results, protocol: Protocol) -> str:
    """LD-ZNet with features that lie, on an LDM that knows nothing, and ZNet."""
    full = runs_of("ldznet", results, protocol)
    if not full:
        return ""
    rows = []
    for style in protocol.styles:
        lines = [(f"LD-ZNet fed {control}", full, f"{control}/{style}") for control in CONTROLS]
        lines += [("LD-ZNet on a random LDM", runs_of(RANDOM_LDM.name, results, protocol), style)]
        lines += [("ZNet", runs_of("znet", results, protocol), style)]
        rows.append((style, "LD-ZNet", *_alone(full, style), number(full, f"{style}/{PRECISION}"), "", ""))
        rows += [
            (style, label, *beside(runs, full, key, style), *_precision(runs, full, key, style))
            for label, runs, key in lines
            if runs
        ]
    return table(("style", "", *columns_beside("LD-ZNet"), "exact AP, %", "less LD-ZNet", "p"), rows)


def _precision(runs: Sequence[Result], others: Sequence[Result], key: str, other: str) -> tuple[str, ...]:
    """Exact AP, which no replicates are kept of: what is sure of it stands in p."""
    if any(f"{key}/{PRECISION}" not in run.numbers for run in runs):
        return (NONE,) * 3
    found = difference(runs, others, f"{key}/{PRECISION}", f"{other}/{PRECISION}")
    return number(runs, f"{key}/{PRECISION}"), interval(found), chance(found)


def _alone(runs: Sequence[Result], key: str) -> tuple[str, ...]:
    return tuple(cell for name in (BEST, OWN) for cell in (interval(mean(runs, f"{key}/{name}")), ""))


def earlier(results: Results, protocol: Protocol) -> str:
    """The tested runs of an earlier version, a line each."""
    rows = [
        (job, *(number([found], f"{style}/{name}") for style in protocol.styles for name in (BEST, OWN)))
        for job, found in results.items()
        if f"{protocol.styles[0]}/{BEST}" in found.numbers
    ]
    header = [f"{style}, {name}" for style in protocol.styles for name in ("best threshold", "own")]
    return table(("mIoU, %", *header), rows) if rows else ""


def _any(rows: Sequence[Sequence[str]]) -> bool:
    return any(cell != NONE for row in rows for cell in row[1:])
