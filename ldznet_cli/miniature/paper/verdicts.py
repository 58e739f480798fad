"""Every comparison of the protocol with its expected sign, and what the results say of it: computed, never written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ldznet_cli.miniature.card_nets import NAMES
from ldznet_cli.miniature.markdown import table
from ldznet_cli.miniature.paper.cells import NONE, chance, interval, verdict
from ldznet_cli.miniature.paper.jobs import INITS, RANDOM_LDM, seeded
from ldznet_cli.miniature.paper.nets import CONTROLS, NOVEL
from ldznet_cli.miniature.paper.protocol import Protocol
from ldznet_cli.miniature.paper.real import SPLITS
from ldznet_cli.miniature.paper.results import Results
from ldznet_cli.miniature.paper.scores import BEST, OWN
from ldznet_cli.miniature.paper.statistics import Estimate, Term, combination

Part = tuple[float, Sequence[str], str]
"""A weight, the jobs of one net, and the number."""

MIOU = (BEST, OWN)
STEPS = (("rgbnet", "znet"), ("znet", "ldznet"))
"""The paper's order, a step at a time."""
MIDDLE = (300, 500)
"""The paper's timesteps."""


@dataclass(frozen=True)
class Claim:
    """That a sum of numbers is positive; `parts` are its terms."""

    text: str
    style: str
    parts: tuple[Part, ...]


def verdicts(results: Results, protocol: Protocol) -> str:
    """A table of the claims whose numbers are there, at the two thresholds of `MIOU`."""
    rows = []
    for best, own in zip(*(claims(protocol, miou) for miou in MIOU), strict=True):
        found = estimate(best, results)
        if found is None:
            continue
        again = None if own == best else estimate(own, results)
        other = (NONE,) * 3 if again is None else _seen(again, protocol)
        rows.append((best.text, best.style, str(found.seeds), *_seen(found, protocol), *other))
    header = (
        "expected",
        "style",
        "seeds",
        "points at the best threshold",
        "p",
        "seen",
        "at the run's own",
        "p",
        "seen",
    )
    return table(header, rows) if rows else ""


def _seen(found: Estimate, protocol: Protocol) -> tuple[str, ...]:
    return interval(found), chance(found), verdict(found, protocol)


def estimate(claim: Claim, results: Results) -> Estimate | None:
    """The claim's sum over the runs that there are; None where a net has none."""
    terms = [
        Term(weight, [results[job] for job in jobs if job in results and name in results[job].numbers], name)
        for weight, jobs, name in claim.parts
    ]
    return combination(terms) if all(term.runs for term in terms) else None


def claims(protocol: Protocol, miou: str) -> Iterator[Claim]:
    """All of them, in the order of the protocol's table; `miou` is the number that is compared."""
    for style in protocol.styles:
        yield from _tables(style, protocol, miou)
    for style in protocol.styles[1:]:
        yield from _wider(style, protocol, miou)
    for style in protocol.styles:
        yield from _controls(style, protocol, miou)
    for style in protocol.styles:
        yield from _words(style, protocol)
    for style in protocol.styles:
        yield from _singles(style, protocol, miou)
    for split in SPLITS:
        jobs = [f"real-{split}-{name}" for name in ("znet", "rgbnet")]
        yield Claim("ZNet above RGBNet, real pictures", split, _less([jobs[0]], [jobs[1]], miou))


def _less(
    jobs: Sequence[str], others: Sequence[str], name: str, other: str | None = None
) -> tuple[Part, Part]:
    return (1.0, jobs, name), (-1.0, others, other or name)


def _lead(text: str, style: str, lead: tuple[Part, Part], other: tuple[Part, Part]) -> Claim:
    """That one difference is greater than another."""
    return Claim(text, style, (*lead, *((-weight, jobs, name) for weight, jobs, name in other)))


def _all(name: str, protocol: Protocol) -> list[str]:
    return [seeded(name, seed) for seed in protocol.seeds]


def _tables(style: str, protocol: Protocol, miou: str) -> Iterator[Claim]:
    for low, high in STEPS:
        parts = _less(_all(high, protocol), _all(low, protocol), f"{style}/{miou}")
        yield Claim(f"{NAMES[high]} above {NAMES[low]}", style, parts)


def _wider(style: str, protocol: Protocol, miou: str) -> Iterator[Claim]:
    """The lead on another style less the lead on the style of the masks."""
    known = protocol.styles[0]
    for low, high in STEPS:
        here, there = (
            _less(_all(high, protocol), _all(low, protocol), f"{where}/{miou}") for where in (style, known)
        )
        yield _lead(f"{NAMES[high]}'s lead over {NAMES[low]} wider than on {known}", style, here, there)


def _controls(style: str, protocol: Protocol, miou: str) -> Iterator[Claim]:
    name, full = f"{style}/{miou}", _all("ldznet", protocol)
    yield Claim(
        "LD-ZNet above LD-ZNet on a random LDM", style, _less(full, _all(RANDOM_LDM.name, protocol), name)
    )
    for control in CONTROLS:
        yield Claim(
            f"LD-ZNet above itself fed {control}", style, _less(full, full, name, f"{control}/{name}")
        )


def _words(style: str, protocol: Protocol) -> Iterator[Claim]:
    job = ["noise-difference-by-timestep"]
    for t in protocol.timesteps:
        if MIDDLE[0] <= t < MIDDLE[1]:
            parts = _less(job, job, f"{style}/t={t}/right", f"{style}/t={t}/other")
            yield Claim(f"noise-difference: AP of the right phrase above another's at t={t}", style, parts)


def _singles(style: str, protocol: Protocol, miou: str) -> Iterator[Claim]:
    """Of one seed, each beside the plain net's run of that seed."""
    name, first = f"{style}/{miou}", protocol.seeds[0]
    znet, ldznet = seeded("znet", first), seeded("ldznet", first)
    fewest = min(protocol.mask_counts)
    pairs = [
        ("ZNet above concat", znet, "ldznet-concat"),
        ("cross-attention above concat", ldznet, "ldznet-concat"),
        ("positions in the pool above none", ldznet, "ldznet-no-positions"),
        *(
            (
                f"{NAMES[kind.kind]} begun with the LDM above one begun at random",
                seeded(kind.kind, first),
                kind.name,
            )
            for kind in INITS
        ),
        ("LD-ZNet above CLIPSeg", ldznet, "clipseg"),
        ("LD-ZNet above the noise-difference map", ldznet, "noise-difference"),
        ("ZNet above the category mean", znet, "category-mean"),
    ]
    yield from (Claim(text, style, _less([job], [other], name)) for text, job, other in pairs)
    whole = f"s{first}"
    for older, younger in ((whole, "middle-ldm"), ("middle-ldm", "early-ldm")):
        lead, before = (_less([f"ldznet-{ldm}"], [f"znet-{ldm}"], name) for ldm in (older, younger))
        named = "the bundled LDM" if older == whole else "the middle LDM"
        text = f"LD-ZNet's lead over ZNet wider on {named} than on the {younger.removesuffix('-ldm')} one"
        yield _lead(text, style, lead, before)
    most, one = max(protocol.draws), min(protocol.draws)
    parts = _less(["draws"], ["draws"], f"{most} draws/{name}", f"{one} draws/{name}")
    yield Claim(f"{most} noise draws above {one}", style, parts)
    few = _less([f"ldznet-{fewest}-masks"], [f"znet-{fewest}-masks"], name)
    text = f"LD-ZNet's lead over ZNet wider with {fewest} scenes"
    yield _lead(text, style, few, _less([ldznet], [znet], name))
    key = f"{NOVEL}/{name}"
    text = f"LD-ZNet's lead on `{protocol.novel}` wider without its masks"
    yield _lead(text, style, _less(["ldznet-novel"], ["znet-novel"], key), _less([ldznet], [znet], key))
