"""How every figure looks: colours that a colour-blind reader can tell apart, the same for a cell everywhere."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnbench.report.statistics import cell_name, cell_rank

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

#: Okabe & Ito (2008); rnn, lstm and gru have theirs for good.
FIXED = {"rnn": ("#D55E00", "s"), "lstm": ("#0072B2", "o"), "gru": ("#009E73", "^")}
OTHERS = (("#CC79A7", "D"), ("#E69F00", "v"), ("#56B4E9", "P"), ("#7F7F7F", "X"), ("#000000", "*"))
LINES = ("-", "--", ":", "-.")
GREY = "#6B6B6B"
SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "rnnbench",
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.8,
    "lines.markersize": 6,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "legend.handlelength": 2.8,
    "xtick.minor.visible": False,
}


@dataclass(frozen=True)
class Look:
    """How a line is drawn."""

    color: str
    marker: str
    linestyle: str

    def line(self) -> dict[str, Any]:
        """Keyword arguments of ``Axes.plot``."""
        return {"color": self.color, "marker": self.marker, "linestyle": self.linestyle}


def looks(series: Sequence[str]) -> dict[str, Look]:
    """A look for each line: colour and marker by the cell's name, line style among the variants of a cell.

    Args:
        series: Labels that begin with the cell's name: lstm, ``lstm(forget_bias=3.0)``, ``lstm, lr=0.01``.
    """
    ordered = sorted(set(series), key=cell_rank)
    others = sorted({cell_name(label) for label in ordered} - set(FIXED))
    seen: dict[str, int] = {}
    out = {}
    for label in ordered:
        name = cell_name(label)
        color, marker = FIXED.get(name) or OTHERS[others.index(name) % len(OTHERS)]
        out[label] = Look(color, marker, LINES[seen.setdefault(name, 0) % len(LINES)])
        seen[name] += 1
    return out


@contextmanager
def canvas(
    panels: int = 1,
    width: float | None = None,
    height: float = 4.3,
    widths: Sequence[float] | None = None,
    rows: int = 1,
) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure with panels side by side, under the house's settings; no window, no global state left behind.

    Args:
        panels: How many.
        width: Of the figure, in inches; it follows from the panels where not given.
        height: In inches.
        widths: Of the panels, relative to each other; equal where not given.
        rows: How many lines the panels stand in.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(width or (7.2 if panels == 1 else 4.6 * panels), height), layout="constrained")
        columns = math.ceil(panels / rows)
        grid = figure.add_gridspec(rows, columns, width_ratios=widths)
        yield figure, [figure.add_subplot(grid[divmod(index, columns)]) for index in range(panels)]


def file_name(label: str) -> str:
    """A label as a file's name, without its suffix: lstm(forget_bias=3.0) → lstm_forget_bias_3_0_."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in label)


def save(figure: Figure, path: Path, formats: set[str]) -> list[Path]:
    """The figure as path.svg and/or path.png; the same figure gives the same bytes."""
    written = []
    for suffix in ("svg", "png"):
        if suffix in formats:
            target = path.with_suffix(f".{suffix}")
            figure.savefig(target, format=suffix, dpi=150, metadata={"Date": None} if suffix == "svg" else None)
            written.append(target)
    return written


def length_axis(axes: Axes, lengths: Sequence[int]) -> None:
    """A log₂ axis of sequence lengths, ticked at the lengths that there are."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(lengths, [str(length) for length in lengths])
    axes.set_xlabel("sequence length T")
    if len(set(lengths)) == 1:
        axes.set_xlim(lengths[0] / 1.5, lengths[0] * 1.5)


def plain_log_axis(axes: Axes) -> None:
    """A logarithmic y axis with plain numbers at 1, 2, 5, 10, …"""
    axes.set_yscale("log")
    plain_number(axes.yaxis)


def plain_number(axis: Axis) -> None:
    """Plain numbers on an axis; where it is logarithmic at 1, 2, 5, 10, …, or at powers of ten over several decades."""
    from matplotlib.ticker import LogLocator, NullLocator

    if axis.get_scale() == "log":
        low, high = axis.get_view_interval()
        axis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0) if high < 200 * low else (1.0,)))
        axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: f"{value:g}")


def legend_below(figure: Figure, *panels: Axes) -> None:
    """One legend for these panels, each label once, below them, in as many lines as the width asks for."""
    named = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    handles, labels = list(named.values()), list(named)
    widths = [0.8 + 0.085 * len(label) for label in labels]

    def width(columns: int) -> float:
        rows = math.ceil(len(widths) / columns)  # matplotlib fills column by column
        return sum(max(widths[first : first + rows]) for first in range(0, len(widths), rows))

    fitting = (columns for columns in range(len(labels), 1, -1) if width(columns) <= figure.get_figwidth())
    figure.legend(handles, labels, loc="outside lower center", ncols=next(fitting, 1))
