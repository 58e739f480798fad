"""What stands in the tables' cells: percentages with their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ldznet_cli.miniature.paper.protocol import Protocol
from ldznet_cli.miniature.paper.results import Result
from ldznet_cli.miniature.paper.scores import BEST, OWN
from ldznet_cli.miniature.paper.statistics import Estimate, difference, mean

NONE = "–"


def share(value: float) -> str:
    """A number in [0, 1] as a percentage."""
    return f"{100 * value:.1f}"


def interval(found: Estimate) -> str:
    """With its 95 % interval, where there is one."""
    if math.isnan(found.low):
        return share(found.value)
    return f"{share(found.value)} [{share(found.low)}, {share(found.high)}]"


def chance(found: Estimate) -> str:
    """Its p."""
    if found.p is None:
        return NONE
    return f"{found.p:.3f}" if found.p >= 0.001 else "< 0.001"


def number(runs: Sequence[Result], name: str) -> str:
    """The mean over runs, with the interval where replicates were kept; a dash where there is no such number."""
    if not runs or name not in runs[0].numbers:
        return NONE
    return interval(mean(runs, name))


def verdict(found: Estimate, protocol: Protocol, yes: str = "yes", no: str = "**no**") -> str:
    """What may be said of a difference that is expected above zero: fewer seeds than the protocol's show no order."""
    if math.isnan(found.low):
        return NONE
    if not found.excludes_zero:
        return "not told apart"
    said = yes if found.value > 0 else no
    return said if found.seeds >= len(protocol.seeds) else f"points to {said}"


def millions(runs: Sequence[Result]) -> str:
    """Parameters; a dash for what has none."""
    about = runs[0].about
    parts = about.get("parameters_of_parts") or {"net": about.get("parameters", 0)}
    count = sum(int(str(part)) for part in parts.values())
    return f"{count / 1e6:.2f}" if count else NONE


def minutes(runs: Sequence[Result]) -> str:
    """Of training, on average; a dash for what was not trained."""
    if "seconds" not in runs[0].about:
        return NONE
    return f"{sum(float(str(run.about['seconds'])) for run in runs) / len(runs) / 60:.1f}"


def columns_beside(other: str) -> tuple[str, ...]:
    """The header of `beside`'s cells."""
    return "mIoU at the best threshold, %", f"less {other}", "at the run's own", f"less {other}"


def beside(runs: Sequence[Result], others: Sequence[Result], key: str, other: str) -> tuple[str, ...]:
    """At both thresholds the mean over `runs`, and what is left of it less that over `others`."""
    return tuple(
        interval(found)
        for name in (BEST, OWN)
        for found in (
            mean(runs, f"{key}/{name}"),
            difference(runs, others, f"{key}/{name}", f"{other}/{name}"),
        )
    )
