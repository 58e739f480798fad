"""Figures of recorded numbers as PNG: the same numbers give the same bytes (of one version of matplotlib).

All values but losses are shares in [0, 1], shown in per cent. Matplotlib is the extra `plots`, imported when a figure
is drawn.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ldznet_cli.errors import UsageError
from ldznet_cli.reporting.overlay import PALETTE

_ORDER = (4, 5, 2, 0, 6, 1, 3)
"""Of the overlay's colours on white: the darker ones first, yellow last."""

_DPI = 120
_HATCHES = ("", "//", "..", "xx", "\\\\", "++", "oo")
_MARKERS = "osD^vPX"


class Estimated(Protocol):
    """A number with its 95 % interval."""

    @property
    def value(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


@dataclass(frozen=True)
class Value:
    """A number, with an interval or without one."""

    value: float
    interval: tuple[float, float] | None = None

    @property
    def low(self) -> float:
        return self.interval[0] if self.interval else self.value

    @property
    def high(self) -> float:
        return self.interval[1] if self.interval else self.value


Curve = Sequence[tuple[float, Estimated]]


@dataclass(frozen=True)
class TrainingCurve:
    """Of one training: (x, loss) of batches, and (x, mIoU) of validations, at least one of these."""

    losses: Sequence[tuple[float, float]]
    validations: Sequence[tuple[float, float]]


def heat_map(
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float]],
    *,
    title: str,
    row_label: str = "",
    column_label: str = "",
) -> bytes:
    """`values[row][column]` as colours, each with its number; a frame marks the greatest."""
    cells = 100 * np.asarray(values, dtype=np.float64)
    if cells.shape != (len(rows), len(columns)):
        raise ValueError(f"values are {cells.shape}, expected {(len(rows), len(columns))}")
    with _axes(2.6 + 0.62 * len(columns), 1.5 + 0.42 * len(rows), title) as (axes, png):
        shown = axes.imshow(cells, cmap="viridis", aspect="auto")
        axes.set_xticks(range(len(columns)), columns)
        axes.set_yticks(range(len(rows)), rows)
        axes.set(xlabel=column_label, ylabel=row_label)
        middle = (cells.min() + cells.max()) / 2
        for row, column in np.ndindex(cells.shape):
            colour = "black" if cells[row, column] > middle else "white"
            text = f"{cells[row, column]:.1f}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
        row, column = np.unravel_index(int(cells.argmax()), cells.shape)
        axes.add_patch(_frame(int(column), int(row)))
        axes.figure.colorbar(shown, ax=axes, label="%")
    return png[0]


def bars(
    groups: Sequence[str], series: Mapping[str, Sequence[Estimated | None]], *, title: str, y_label: str
) -> bytes:
    """A cluster of bars for each group, one a series, each with interval and number; None leaves a gap."""
    wide = 0.8 / max(1, len(series))
    with _axes(1.6 + 0.62 * len(groups) * len(series), 3.8, title) as (axes, png):
        for number, (name, estimates) in enumerate(series.items()):
            pairs = zip(range(len(groups)), estimates, strict=True)
            there = [(place, one) for place, one in pairs if one is not None]
            xs = [place + (number - (len(series) - 1) / 2) * wide for place, _ in there]
            found = [one for _, one in there]
            heights = [100 * one.value for one in found]
            hatch = _HATCHES[number % len(_HATCHES)]
            axes.bar(
                xs, heights, 0.92 * wide, color=_colour(number), label=name, hatch=hatch, edgecolor="white"
            )
            axes.errorbar(xs, heights, _errors(found), fmt="none", ecolor="black", elinewidth=1, capsize=3)
            for x, one in zip(xs, found, strict=True):
                top = 100 * max(one.value, one.high)
                axes.annotate(
                    f"{100 * one.value:.1f}",
                    (x, top),
                    (0, 2),
                    textcoords="offset points",
                    ha="center",
                    fontsize=8,
                )
        axes.set_xticks(range(len(groups)), groups)
        axes.set(ylabel=f"{y_label}, %")
        axes.margins(y=0.12)
        _legend(axes)
    return png[0]


def lines(
    curves: Mapping[str, Curve],
    *,
    title: str,
    x_label: str,
    y_label: str,
    floors: Mapping[str, Curve] | None = None,
    log: bool = False,
) -> bytes:
    """Curves with intervals; `floors` are dashed and grey. `log` is for x, whose points the axis then names."""
    with _axes(6.4, 4.0, title) as (axes, png):
        for number, (name, curve) in enumerate(curves.items()):
            xs, found = [x for x, _ in curve], [one for _, one in curve]
            style = {
                "marker": _MARKERS[number % len(_MARKERS)],
                "markersize": 5,
                "capsize": 3,
                "linewidth": 1.6,
            }
            ys = [100 * one.value for one in found]
            axes.errorbar(xs, ys, _errors(found), color=_colour(number), label=name, elinewidth=1, **style)
        for number, (name, curve) in enumerate((floors or {}).items()):
            ys = [100 * one.value for _, one in curve]
            dashes = (0, (4 - number % 3, 1 + number % 2))
            axes.plot([x for x, _ in curve], ys, color="0.45", linestyle=dashes, linewidth=1.2, label=name)
        if log:
            ticks = sorted({x for curve in curves.values() for x, _ in curve})
            axes.set_xscale("log")
            axes.set_xticks(ticks, [f"{tick:,g}" for tick in ticks])
            axes.minorticks_off()
        axes.set(xlabel=x_label, ylabel=f"{y_label}, %")
        axes.grid(visible=True, color="0.9")
        _legend(axes)
    return png[0]


def training_curves(runs: Mapping[str, TrainingCurve], *, x_label: str) -> bytes:
    """Of each run the loss of its batches, pale, with their running mean, and the course of its validation."""
    with _panels(9.6, 3.6, ("Loss on training batches", "Validation")) as ((losses, scores), png):
        for number, (name, run) in enumerate(runs.items()):
            colour, marker = _colour(number), _MARKERS[number % len(_MARKERS)]
            if run.losses:
                xs, ys = (np.array(values) for values in zip(*run.losses, strict=True))
                losses.plot(xs, ys, color=colour, alpha=0.2, linewidth=0.8)
                losses.plot(_running_mean(xs), _running_mean(ys), color=colour, linewidth=1.6)
            points = [(x, 100 * value) for x, value in run.validations]
            label = name.replace("$", r"\$")  # between two of them there would be mathematics
            scores.plot(*zip(*points, strict=True), color=colour, marker=marker, markersize=4, label=label)
        losses.set(xlabel=x_label, ylabel="binary cross-entropy", yscale="log")
        losses.yaxis.set_major_locator(_one_two_five())
        losses.yaxis.set_major_formatter("{x:g}")
        losses.minorticks_off()
        scores.set(xlabel=x_label, ylabel="mIoU, %")
        for axes in (losses, scores):
            axes.grid(visible=True, color="0.9")
        _legend(scores)
    return png[0]


def _running_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over a twenty-fifth of them."""
    wide = max(1, len(values) // 25)
    return np.convolve(values, np.full(wide, 1 / wide), mode="valid")


def _colour(number: int) -> str:
    red, green, blue = PALETTE[_ORDER[number % len(_ORDER)]]
    return f"#{red:02x}{green:02x}{blue:02x}"


def _errors(found: Sequence[Estimated]) -> list[list[float]]:
    """What errorbar takes: down and up. (The bootstrap's interval may leave the value out: then 0.)"""
    down = [100 * max(0.0, one.value - one.low) for one in found]
    return [down, [100 * max(0.0, one.high - one.value) for one in found]]


def _legend(axes: Any) -> None:
    """Beside the axes, where it hides nothing."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))


def _one_two_five() -> Any:
    """Ticks of a logarithmic axis that can be read as plain numbers."""
    from matplotlib.ticker import LogLocator

    return LogLocator(subs=(1, 2, 5))


def _frame(column: int, row: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="red", linewidth=2)


@contextmanager
def _axes(width: float, height: float, title: str) -> Iterator[tuple[Any, list[bytes]]]:
    """A figure of one panel."""
    with _panels(width, height, (title,)) as ([axes], png):
        yield axes, png


@contextmanager
def _panels(width: float, height: float, titles: Sequence[str]) -> Iterator[tuple[list[Any], list[bytes]]]:
    """Axes side by side in a figure that is sized in inches; when the block has ended, the list holds its PNG.
    No setting of the user's counts.

    Raises UsageError without matplotlib.
    """
    try:
        import matplotlib as mpl
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("figures need matplotlib: pip install 'ldznet-cli[plots]'") from error
    with mpl.rc_context(rc=mpl.rcParamsDefault):
        figure, png = Figure(figsize=(width, height), dpi=_DPI, layout="constrained"), list[bytes]()
        FigureCanvasAgg(figure)
        panels = list(figure.subplots(1, len(titles), squeeze=False)[0])
        for axes, title in zip(panels, titles, strict=True):
            axes.set_title(title, fontsize=10)
            axes.spines[["top", "right"]].set_visible(False)
        yield panels, png
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
        png.append(buffer.getvalue())
