"""The study's other tables: what was read off the LDM and off one net, what was tried, what it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ldznet_cli.miniature.card_nets import NAMES
from ldznet_cli.miniature.markdown import table
from ldznet_cli.miniature.paper.analyses import BLIND
from ldznet_cli.miniature.paper.cells import NONE, interval, number, share
from ldznet_cli.miniature.paper.nets import CONTROLS
from ldznet_cli.miniature.paper.protocol import Protocol
from ldznet_cli.miniature.paper.results import Results
from ldznet_cli.miniature.paper.scores import BEST, OWN
from ldznet_cli.miniature.paper.statistics import difference, mean
from ldznet_cli.nets.config import KINDS


def trials(tried: Sequence[Mapping[str, Any]]) -> str:
    """Runs before the protocol, in the order they were made: what was varied, and where each ended."""
    header = (
        "net", "batch", "learning rate", "steps", "samples seen", "precision", "threads", "minutes", "mIoU, %",
        "otherwise",
    )  # fmt: skip
    rows = [
        (
            NAMES[run["net"]],
            str(run["batch"]),
            f"{run['learning_rate']:g}",
            str(run["steps"]),
            str(run["batch"] * run["steps"]),
            run["precision"],
            str(run["threads"]),
            f"{run['seconds'] / 60:.1f}",
            share(run["validations"][-1]["miou"]),
            run["note"],
        )
        for run in tried
    ]
    return table(header, rows) if rows else ""


def feature_use(results: Results) -> str:
    """LD-ZNet with its own features and with those that lie, on validation scenes."""
    found = results.get("feature-use")
    if found is None:
        return ""
    rows = []
    for name, title in (("study", "LD-ZNet"), ("bundled", "the bundled LD-ZNet")):
        own = f"{name}/own/{BEST}"
        rows.append((title, interval(mean([found], own)), ""))
        for control in CONTROLS:
            key = f"{name}/{control}/{BEST}"
            less = interval(difference([found], [found], key, own))
            rows.append((f"{title} fed {control}", interval(mean([found], key)), less))
    return table(("", "mIoU at the best threshold, %", "less with its own features"), rows)


def fit(results: Results) -> str:
    """The nets on scenes they were trained with, and on others."""
    found = results.get("fit")
    if found is None:
        return ""
    rows = []
    for kind in KINDS:
        seen, new = (f"{kind}/{where}/{BEST}" for where in ("train", "validation"))
        less = interval(difference([found], [found], seen, new))
        rows.append((NAMES[kind], interval(mean([found], seen)), interval(mean([found], new)), less))
    return table(("net", "training scenes, mIoU in %", "validation scenes", "difference"), rows)


def grounding(results: Results, protocol: Protocol) -> str:
    """AP of the right phrase's map by timestep, beside another phrase's and the floors."""
    found = results.get("noise-difference-by-timestep")
    if found is None:
        return ""
    columns = ("right", "other", "mean", "centre", "row")
    rows = [
        (style, str(t), *(number([found], f"{style}/t={t}/{name}") for name in columns))
        for style in protocol.styles
        for t in protocol.timesteps
    ]
    header = ("style", "t", "right phrase", "another phrase", "mean map", "centre blob", "row's median")
    return table(header, rows)


def probes(results: Results, protocol: Protocol) -> str:
    """AP of every block at every timestep."""
    found = results.get("probes")
    if found is None:
        return ""
    blocks = sorted(found.about["blocks"].items(), key=lambda item: int(item[0]))
    rows = [
        (
            f"{block}: {name}",
            prompt,
            *(share(found.numbers[f"{begin}block {block}/t={t}"]) for t in protocol.timesteps),
        )
        for begin, prompt in (("", "the phrase"), (BLIND, "none"))
        for block, name in blocks
    ]
    return table(("block", "prompt", *(f"t={t}" for t in protocol.timesteps)), rows)


def probe_bounds(results: Results) -> dict[str, str]:
    """What chance gives, and the ends of the widest interval, of the probes."""
    found = results.get("probes")
    if found is None:
        return dict.fromkeys(("chance", "low", "high"), NONE)
    low, high = max(found.about["intervals"].values(), key=lambda ends: ends[1] - ends[0])
    return {"chance": share(found.about["chance"]), "low": share(low), "high": share(high)}


def draws(results: Results, protocol: Protocol) -> str:
    """LD-ZNet by the number of draws."""
    found = results.get("draws")
    if found is None:
        return ""
    ways = {f"{count} draws": str(count) for count in protocol.draws}
    ways[f"t={protocol.fixed_timestep}"] = f"one, at t={protocol.fixed_timestep}"
    rows = [
        (
            shown,
            *(
                number([found], f"{way}/{style}/{name}")
                for style in protocol.styles
                for name in (BEST, OWN, "all/AP_exact")
            ),
        )
        for way, shown in ways.items()
    ]
    header = [
        f"{style}, {name}" for style in protocol.styles for name in ("mIoU", "own threshold", "exact AP")
    ]
    return table(("draws", *header), rows)


def pretraining(results: Results) -> str:
    """What CLIPSeg's CLIP and the LDM each saw, in a sentence; empty without CLIPSeg."""
    found = results.get("clipseg")
    if found is None:
        return ""
    told = (
        f"the {name} on {run['samples']} images with captions, {run['seconds'] / 60:.0f} minutes by the clock"
        for name, run in found.about["pretraining"].items()
    )
    return (
        f"Pretrained on the same images and captions, on two cores: {'; '.join(told)}. The protocol gives the CLIP "
        "minutes in which it sees about as many samples as the LDM did; the LDM's took longer, with other work beside."
    )


def ceiling(results: Results, protocol: Protocol) -> str:
    """What the true masks themselves keep on a coarse grid."""
    found = results.get("ceiling")
    if found is None:
        return ""
    grids = ["x".join(map(str, grid)) for grid in found.about["grids"]]
    rows = [
        (style, kind, *(number([found], f"{style}/{grid}/{kind}") for grid in grids))
        for style in protocol.styles
        for kind in ("all", "thing", "stuff")
    ]
    return table(("style", "masks", *grids), rows)


def times(results: Results) -> str:
    """Minutes of every run that was timed, in the order of their names."""
    timed = ("seconds", "test_seconds", "job_seconds")
    rows = [
        (job, *(_minutes(found.about.get(name)) for name in timed), str(found.machine["threads"]))
        for job, found in results.items()
        if any(name in found.about for name in timed)
    ]
    return table(("run", "training", "test", "in all", "threads"), rows) if rows else ""


def _minutes(seconds: float | None) -> str:
    return NONE if seconds is None else f"{seconds / 60:.1f}"
