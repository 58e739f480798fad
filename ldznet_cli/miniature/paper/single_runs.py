"""The study's tables of runs with one seed: beside the plain nets, on younger LDMs, baselines, real pictures."""

from __future__ import annotations

from collections.abc import Sequence

from ldznet_cli.miniature.markdown import table
from ldznet_cli.miniature.paper.cells import beside, columns_beside, interval, millions, minutes, number
from ldznet_cli.miniature.paper.jobs import YOUNGER, seeded
from ldznet_cli.miniature.paper.protocol import Protocol
from ldznet_cli.miniature.paper.real import SPLITS
from ldznet_cli.miniature.paper.results import Results
from ldznet_cli.miniature.paper.scores import BEST, OWN
from ldznet_cli.miniature.paper.statistics import difference, mean
from ldznet_cli.miniature.paper.tables import PRECISION
from ldznet_cli.miniature.paper.training import Variant

MORE = ("all/IoU_FG@best", "all/AP", PRECISION)


def growth(results: Results, protocol: Protocol) -> str:
    """ZNet and LD-ZNet by how long their LDM was trained."""
    first = protocol.seeds[0]
    ldms = [(f"{steps} steps", f"-{ldm}-ldm") for steps, ldm in zip(protocol.ldm_steps, YOUNGER, strict=True)]
    rows = []
    for title, suffix in [*ldms, ("the bundled one", f"-s{first}")]:
        znet, ldznet = results.get(f"znet{suffix}"), results.get(f"ldznet{suffix}")
        if znet is None or ldznet is None:
            continue
        for style in protocol.styles:
            key = f"{style}/{BEST}"
            lead = interval(difference([ldznet], [znet], key))
            rows.append((title, style, interval(mean([znet], key)), interval(mean([ldznet], key)), lead))
    return table(("LDM", "style", "ZNet, mIoU in %", "LD-ZNet", "LD-ZNet's lead"), rows) if rows else ""


def singles(pairs: Sequence[tuple[str, str]], results: Results, protocol: Protocol, prefix: str = "") -> str:
    """Runs of one seed, each beside another of that seed, by their jobs; `prefix` as `novel/`."""
    rows = [
        (
            *(job, style, other, *beside([run], [results[other]], key, key)),
            *(number([run], f"{key}/{name}") for name in MORE),
            *(millions([run]), minutes([run])),
        )
        for job, other in pairs
        if job in results and other in results
        for run in (results[job],)
        for style in protocol.styles
        for key in (f"{prefix}{style}",)
    ]
    header = (
        "run",
        "style",
        "beside",
        *columns_beside("it"),
        "IoU_FG",
        "AP",
        "exact AP",
        "M parameters",
        "minutes",
    )
    return table(header, rows) if rows else ""


def beside_plain(variants: Sequence[Variant], protocol: Protocol) -> list[tuple[str, str]]:
    """Each variant's job with that of the plain net whose learning rate it has."""
    return [(variant.name, seeded(variant.tuned, protocol.seeds[0])) for variant in variants]


def baselines(results: Results, protocol: Protocol) -> str:
    """What is not one of the three nets, beside LD-ZNet's run of the first seed."""
    names = {
        "clipseg": "CLIPSeg, pretrained on the same pairs", "category-mean": "category mean",
        "noise-difference": "noise-difference map", seeded("ldznet", protocol.seeds[0]): "LD-ZNet",
    }  # fmt: skip
    rows = [
        (
            title,
            style,
            *(
                number([results[job]], f"{style}/{name}")
                for name in (BEST, OWN, "objects/mIoU@best", "all/IoU_FG@best", "all/AP", PRECISION)
            ),
            millions([results[job]]),
        )
        for job, title in names.items()
        if job in results
        for style in protocol.styles
    ]
    return (
        table(
            ("", "style", "mIoU", "own threshold", "of objects", "IoU_FG", "AP", "exact AP", "M parameters"),
            rows,
        )
        if len(rows) > len(protocol.styles)
        else ""
    )


def real(results: Results) -> str:
    """Nets and floor on real pictures."""
    names = {"rgbnet": "RGBNet", "znet": "ZNet", "mean": "category mean"}
    rows = [
        (
            split,
            title,
            *(number([found], f"all/{name}") for name in ("mIoU@own", "mIoU@best", "AP_exact")),
            millions([found]),
            minutes([found]),
        )
        for split in SPLITS
        for job, title in names.items()
        if (found := results.get(f"real-{split}-{job}")) is not None
    ]
    header = ("pictures", "", "mIoU, own threshold", "best threshold", "exact AP", "M parameters", "minutes")
    return table(header, rows) if rows else ""


def real_sets(results: Results) -> str:
    """How many pictures and phrases each of the sets has, in a sentence."""
    told = []
    for split in SPLITS:
        if (found := results.get(f"real-{split}-mean")) is not None:
            parts = found.about["split"].items()
            told.append(
                f"{split}: "
                + ", ".join(f"{part} on {of['images']} with {of['samples']} phrases" for part, of in parts)
            )
    return "; ".join(told)
