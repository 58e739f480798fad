"""What stands in the tables' cells: percentages with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

from ldznet_cli.miniature.paper.protocol import Protocol
from ldznet_cli.miniature.paper.results import Result
from ldznet_cli.miniature.paper.statistics import Estimate, mean

NONE = "–"


def share(value: float) -> str:
    """A number in [0, 1] as a percentage."""
    return f"{100 * value:.1f}"


def interval(found: Estimate) -> str:
    """With its 95 % interval."""
    return f"{share(found.value)} [{share(found.low)}, {share(found.high)}]"


def number(runs: Sequence[Result], name: str) -> str:
    """The mean over runs, with the interval where replicates were kept; a dash where there is no such number."""
    if not runs or name not in runs[0].numbers:
        return NONE
    if name not in runs[0].replicates:
        return share(sum(run.numbers[name] for run in runs) / len(runs))
    return interval(mean(runs, name))


def verdict(found: Estimate, protocol: Protocol) -> str:
    """What may be said of a difference under the protocol: an order needs all seeds and an interval without zero."""
    if found.seeds < len(protocol.seeds):
        return f"{found.seeds} of {len(protocol.seeds)} seeds: no claim"
    return ("higher" if found.value > 0 else "**lower**") if found.excludes_zero else "not told apart"


def millions(runs: Sequence[Result]) -> str:
    """Parameters."""
    return f"{int(str(runs[0].about['parameters'])) / 1e6:.2f}"


def minutes(runs: Sequence[Result]) -> str:
    """Of training, on average."""
    return f"{sum(float(str(run.about['seconds'])) for run in runs) / len(runs) / 60:.1f}"
