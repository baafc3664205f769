"""How every figure looks: its settings, axes, legend and files, and each cell's own colour, marker and line style.

The colours are Okabe & Ito's (2008), which a colour-blind reader can tell apart. There are fewer of them than cells, so
cells share one, those that are seldom compared where possible; then their markers and line styles differ. A cell looks
the same in every figure, whatever stands beside it.
"""

from __future__ import annotations

import math
import textwrap
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullLocator

from rnnbench.report.statistics import cell_name, cell_rank

GREY = "#6B6B6B"
#: How a line that others are measured against is drawn.
REFERENCE: dict[str, Any] = {"color": GREY, "linestyle": (0, (4, 3)), "linewidth": 1.1}
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
    """A figure with panels in rows, under `SETTINGS`; no window, no global state left behind.

    width, height: in inches; the width follows from the panels where not given. widths: of the panels, relative.
    """
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(width or (7.2 if panels == 1 else 4.6 * panels), height), layout="constrained")
        columns = math.ceil(panels / rows)
        grid = figure.add_gridspec(rows, columns, width_ratios=widths)
        yield figure, [figure.add_subplot(grid[divmod(index, columns)]) for index in range(panels)]


def file_name(label: str) -> str:
    """A label as a file's name, without its suffix: lstm(forget_bias=3) → lstm_forget_bias_3_."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in label)


def finish(figure: Figure, panels: Sequence[Axes], path: Path, formats: set[str]) -> list[Path]:
    """One legend for these panels below them, then `save`."""
    legend_below(figure, *panels)
    return save(figure, path, formats)


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


def log2_axis(axes: Axes) -> None:
    """A log₂ x axis with plain numbers."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")


def title_and_note(axes: Axes, title: str, note: str, width: int) -> None:
    """A title, and small below it what must be known, in lines of so many letters."""
    lines = textwrap.wrap(note, width)
    axes.set_title(title, pad=8 + 11 * len(lines))
    small_note(axes, "\n".join(lines))


def small_note(axes: Axes, text: str) -> None:
    """Small grey words right above the axes."""
    axes.annotate(text, (0, 1), (0, 5), "axes fraction", "offset points", fontsize=8, color=GREY)


def plain_number(axis: Axis) -> None:
    """Plain numbers on an axis; where it is logarithmic at 1, 2, 5, 10, …, or at powers of ten over several decades."""
    if axis.get_scale() == "log":
        low, high = sorted(axis.get_view_interval())
        axis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0) if high < 200 * low else (1.0,)))
        if len(_within(low, high, (1, 2, 5))) < 3:
            axis.set_major_locator(FixedLocator(_few(low, high)))
        axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: f"{value:g}")


def _few(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic axis too narrow for 1, 2, 5: matplotlib's own locator would tick one number, or all."""
    ticks = _within(low, high, (1, 1.5, 2, 3, 5, 7))
    if len(ticks) < 3:
        ticks = list(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high))
    return [tick for tick in ticks if low <= tick <= high]


def _within(low: float, high: float, subs: Sequence[float]) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [tick for decade in decades for sub in subs if low <= (tick := sub * 10.0**decade) <= high]


def legend_below(figure: Figure, *panels: Axes) -> None:
    """One legend, each label once, below the panels, in as many lines as the width asks for."""
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


#: A name of matplotlib's, or (offset, (on, off, …)) in points.
LineStyle = str | tuple[int, tuple[float, ...]]

#: The plain cells have a colour each that no other cell has.
FIXED = {"rnn": ("#D55E00", "s"), "lstm": ("#0072B2", "o"), "gru": ("#009E73", "^")}
#: The others' colours, and the markers that go with them first.
OTHERS = (("#CC79A7", "D"), ("#E69F00", "v"), ("#56B4E9", "P"), ("#7F7F7F", "X"), ("#000000", "*"))
#: Of the cells of one colour the first has the first of these, and so on; so have the variants of one cell.
LINES: tuple[LineStyle, ...] = ("-", "--", ":", "-.", (0, (7, 1.5, 1, 1.5, 1, 1.5)), (0, (9, 4)))
#: Cells by colour, in the order of `OTHERS`.
CELLS = (
    ("mingru", "gla", "mgu", "slstm", "cornn", "lstm_peephole"),
    ("lru", "janet", "deltanet", "minlstm", "lem", "lstm_layernorm"),
    ("mamba", "rglru", "ugrnn", "lstm_cifg", "indrnn", "qrnn"),
    ("transformer", "irnn", "sru", "gru_v1", "exprnn", "hgrn"),
    ("mlstm", "s4d", "minimal_rnn", "tcn", "antisymmetric"),
)
#: Markers of others' cells: no cell of ours has one of them.
FOREIGN = ("p", "<", "d", ">", "h")


@dataclass(frozen=True)
class Look:
    """How a line is drawn."""

    color: str
    marker: str
    linestyle: LineStyle

    def line(self) -> dict[str, Any]:
        """Keyword arguments of ``Axes.plot``."""
        return {"color": self.color, "marker": self.marker, "linestyle": self.linestyle}


def _table() -> dict[str, Look]:
    """Every cell of ours: no two have the same colour and marker, or the same colour and line style."""
    table = {name: Look(color, marker, LINES[0]) for name, (color, marker) in FIXED.items()}
    markers = [marker for _, marker in OTHERS]
    for index, ((color, _), names) in enumerate(zip(OTHERS, CELLS, strict=True)):
        for tier, name in enumerate(names):
            table[name] = Look(color, markers[(index + tier) % 5] if tier < 5 else "8", LINES[tier])
    return table


TABLE = _table()


def looks(series: Sequence[str]) -> dict[str, Look]:
    """A look for each line: the cell's own; its variants, in one figure, differ by their line style.

    A cell that is not ours has a colour that follows from its name, unless another such cell in the figure has it.

    Args:
        series: Labels that begin with the cell's name: lstm, ``lstm(forget_bias=3)``, ``lstm, lr=0.01``.
    """
    names = sorted({cell_name(label) for label in series})
    foreign: dict[str, Look] = {}
    for name in names:
        if name not in TABLE:
            foreign[name] = _foreign(name, foreign.values())
    variants = dict.fromkeys(names, 0)
    out = {}
    for label in sorted(set(series), key=cell_rank):
        name = cell_name(label)
        look = TABLE.get(name) or foreign[name]
        linestyle = LINES[(LINES.index(look.linestyle) + variants[name]) % len(LINES)]
        out[label] = Look(look.color, look.marker, linestyle)
        variants[name] += 1
    return out


def _foreign(name: str, beside: Collection[Look]) -> Look:
    """From the name's checksum on, the first look whose colour is free, else the first that is free, else the first."""
    every = [Look(color, marker, LINES[tier]) for tier, marker in enumerate(FOREIGN) for color, _ in OTHERS]
    start = zlib.crc32(name.encode()) % len(every)
    turned = every[start:] + every[:start]
    colors = {look.color for look in beside}
    free = [look for look in turned if look not in beside]
    return next((look for look in turned if look.color not in colors), (free or turned)[0])
