"""How every figure looks: its settings, axes, legend and files; `looks` says how a cell does."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnbench.report.figures.looks import FIXED, LINES, OTHERS, Look, looks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = [
    "FIXED", "GREY", "LINES", "OTHERS", "Look", "canvas", "file_name", "legend_below", "length_axis", "looks",
    "plain_log_axis", "plain_number", "save",
]  # fmt: skip
GREY = "#6B6B6B"
#: What a figure can be saved as, and what would differ from one time to the next in such a file.
DATES: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "png": {}, "pdf": {"CreationDate": None}}
SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "rnnbench",
    "pdf.fonttype": 42,  # TrueType: some publishers refuse the other kind
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
    """A label as a file's name, without its suffix: lstm(forget_bias=3) → lstm_forget_bias_3_."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in label)


def save(figure: Figure, path: Path, formats: set[str]) -> list[Path]:
    """The figure as path.svg, path.png and path.pdf, those that are asked for; the same figure gives the same bytes."""
    written = []
    figure.draw_without_rendering()  # settles the layout, once for all formats and whichever they are
    figure.set_layout_engine("none")
    for suffix, dates in DATES.items():
        if suffix in formats:
            target = path.with_suffix(f".{suffix}")
            figure.savefig(target, format=suffix, dpi=150, metadata=dates)
            written.append(target)
    return written


#: What a length is, by its symbol.
LENGTHS = {"T": "sequence length T (steps of an update)", "K": "truncation K (steps that the gradient goes back)"}


def length_axis(axes: Axes, lengths: Sequence[int], symbol: str = "T") -> None:
    """A log₂ axis of lengths, ticked at those that there are."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(lengths, [str(length) for length in lengths])
    axes.set_xlabel(LENGTHS[symbol])
    if len(set(lengths)) == 1:
        axes.set_xlim(lengths[0] / 1.5, lengths[0] * 1.5)


def plain_log_axis(axes: Axes) -> None:
    """A logarithmic y axis with plain numbers at 1, 2, 5, 10, …"""
    axes.set_yscale("log")
    plain_number(axes.yaxis)


def plain_number(axis: Axis) -> None:
    """Plain numbers on an axis; where it is logarithmic at 1, 2, 5, 10, …, or at powers of ten over several decades."""
    from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

    if axis.get_scale() == "log":
        low, high = sorted(axis.get_view_interval())
        axis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0) if high < 200 * low else (1.0,)))
        if len(_within(low, high, (1, 2, 5))) < 3:
            axis.set_major_locator(FixedLocator(_few(low, high)))
        axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: f"{value:g}")


def _few(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic axis too narrow for 1, 2, 5: matplotlib's own locator would tick one number, or all."""
    from matplotlib.ticker import MaxNLocator

    found = _within(low, high, (1, 1.5, 2, 3, 5, 7))
    if len(found) < 3:
        found = list(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high))
    return [tick for tick in found if low <= tick <= high]


def _within(low: float, high: float, subs: Sequence[float]) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [tick for decade in decades for sub in subs if low <= (tick := sub * 10.0**decade) <= high]


def legend_below(figure: Figure, *panels: Axes) -> None:
    """One legend for these panels, each label once, below them, in as many lines as the width asks for."""
    named = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    labels = list(named)
    if not labels:
        return
    widths = {label: 0.8 + 0.078 * len(label) for label in labels}

    def width(columns: int) -> float:
        return sum(max(widths[label] for label in labels[column::columns]) for column in range(columns))

    fitting = (columns for columns in range(len(labels), 1, -1) if width(columns) <= figure.get_figwidth())
    columns = next(fitting, 1)
    # matplotlib fills column by column; a reader goes line by line.
    ordered = [label for column in range(columns) for label in labels[column::columns]]
    figure.legend([named[label] for label in ordered], ordered, loc="outside lower center", ncols=columns)
