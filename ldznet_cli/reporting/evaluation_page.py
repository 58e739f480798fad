"""`ldznet evaluate --report`: what was scored, how well, where it fails; one page that opens from disk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ldznet_cli.evaluation import Report, Score, Shown, Table, tables_of
from ldznet_cli.evaluation.table import COLUMNS
from ldznet_cli.metrics import Curve
from ldznet_cli.reporting.page import page
from ldznet_cli.reporting.published import PUBLISHED
from ldznet_cli.reporting.sample_pictures import sample_pictures

_PLOTTED = {
    "threshold": ("Threshold sweep", "threshold", "score"),
    "recall": ("Precision over recall", "recall", "precision"),
    "calibration": ("Calibration", "mean probability", "share in the mask"),
}
_CAPTIONS = {
    "threshold": "Every threshold's score, on the same data: the best one is chosen with hindsight.",
    "recall": "All pixels of all samples together.",
    "calibration": "Of pixels that were given about this probability, the share that is in the ground truth. On the "
    "diagonal, probabilities mean what they say.",
}
_CATEGORIES = 200
"""Lines of the table of categories, which is folded away."""

_KINDS = {
    "worst": (
        "Worst samples",
        "Lowest IoU first; phrases that are absent and missing predictions are left out.",
    ),
    "best": ("Best samples", "Highest IoU first."),
    "false alarm": (
        "Seen where it is not",
        "Phrases that name nothing in their image, highest presence score first.",
    ),
}


@dataclass(frozen=True)
class Plot:
    """Lines of one kind in a unit square."""

    title: str
    x: str
    y: str
    caption: str
    lines: tuple[Curve, ...]
    span: tuple[float, float] | None = None
    diagonal: bool = False


@dataclass(frozen=True)
class Part:
    """One protocol: its tables and plots, and a line with its interval for each subset."""

    name: str
    tables: tuple[Table, ...]
    plots: tuple[Plot, ...]
    metric: str
    subsets: tuple[Score, ...]


def evaluation_page(report: Report, shown: Iterable[Shown] = ()) -> str:
    """The HTML; `shown` are the samples of which there are to be pictures, read now from the disk."""
    pictures = list(sample_pictures(shown))
    groups = [
        (*_KINDS[kind], [picture for picture in pictures if picture.ranked.kind == kind]) for kind in _KINDS
    ]
    return page(
        "evaluation.html",
        title=f"ldznet evaluate: {report.predictions.source}",
        report=report,
        parts=[_part(name, report) for name in dict.fromkeys(score.protocol for score in report.scores)],
        groups=[group for group in groups if group[-1]],
        published=PUBLISHED,
    )


def _part(name: str, report: Report) -> Part:
    tables = tuple(table for table in tables_of(report, _CATEGORIES) if table.title.startswith(f"{name} "))
    metric, rule = COLUMNS[name][0]
    lines = [
        s for s in report.scores if (s.protocol, s.metric) == (name, metric) and rule in (None, s.threshold)
    ]
    label = f"{metric} at {rule}" if rule else metric
    return Part(name, tables, tuple(_plots(name, report)), label, tuple(s for s in lines if s.interval))


def _plots(name: str, report: Report) -> list[Plot]:
    curves = report.curves.get(name, ())
    plots = []
    for kind, (title, x, y) in _PLOTTED.items():
        lines = tuple(curve for curve in curves if curve.kind == kind)
        if lines:
            span = _span(name, report) if kind == "recall" else None
            caption = _CAPTIONS[kind] + (_about(span) if span else "")
            plots.append(Plot(title, x, y, caption, lines, span, kind == "calibration"))
    return plots


def _span(name: str, report: Report) -> tuple[float, float] | None:
    found: Sequence[Score] = [
        s for s in report.scores if (s.protocol, s.metric, s.subset) == (name, "AP", "all")
    ]
    return found[0].span if found and found[0].span != (0.0, 1.0) else None


def _about(span: tuple[float, float]) -> str:
    low, high = (f"{100 * end:.1f} %" for end in span)
    return (
        f" AP is the area over the recall from {low} to {high} (shaded), and nothing beyond it: "
        "a confident model gets less."
    )
