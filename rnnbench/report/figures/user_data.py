"""A record over time, with its split."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font

from rnnbench.data.text.checks import label
from rnnbench.report.figures.style import GREY, canvas, save

if TYPE_CHECKING:
    from rnnbench.data.series.windows import SeriesData
    from rnnbench.data.text.streams import TextData

#: Columns that are drawn, and points of each: a longer record is drawn by the range of each piece of it.
COLUMNS, POINTS = 4, 2000
#: Of the train, val and test parts.
SHADES = {"train": "#FFFFFF", "val": "#FFE9C7", "test": "#D9E8F6"}


def draw_series(source: SeriesData, path: Path) -> Path:
    """The first columns of a record over time, its parts shaded, its holes left open, as a PNG; or `OSError`."""
    values, clock, parts = source.drawn()
    if clock is not None and len(values) > POINTS and (np.diff(clock) < np.timedelta64(0)).any():
        clock = None  # many series one after the other
    names = source.columns[:COLUMNS]
    with canvas(len(names), width=9.0, height=1.2 + 1.9 * len(names), rows=len(names)) as (figure, panels):
        for name, column, axes in zip(names, values.T, panels, strict=False):
            along = np.arange(len(values)) if clock is None else clock
            _line(axes, along, column)
            for part, spans in parts.items():
                for index, (start, stop) in enumerate(spans):
                    label = part if index == 0 and axes is panels[0] else None
                    edge = along[min(stop, len(along) - 1)]
                    axes.axvspan(along[start], edge, color=SHADES[part], zorder=0, label=label)
            axes.set_title(name)
            axes.margins(x=0)
        panels[-1].set_xlabel("time step" if clock is None else "time")
        panels[0].legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, facecolor="#F4F4F4", frameon=True)
        if len(source.columns) > len(names):
            figure.supxlabel(f"{len(source.columns) - len(names)} more columns are not drawn", fontsize=9, color=GREY)
        (written,) = save(figure, path.with_suffix(""), {"png"})
    return written


def _line(axes: Axes, along: np.ndarray, column: np.ndarray) -> None:
    size = len(column)
    if size <= POINTS:
        axes.plot(along, column, linewidth=1.0, marker="." if size < 100 else "", markersize=3)
        return
    edges = np.linspace(0, size, POINTS // 2 + 1).astype(int)
    with np.errstate(invalid="ignore"):
        low, high = np.fmin.reduceat(column, edges[:-1]), np.fmax.reduceat(column, edges[:-1])
    axes.fill_between(along[edges[:-1]], low, high, linewidth=0.6, edgecolor="C0", step="post")


#: Symbols that are shown: the most frequent ones, and the most frequent of those that training never sees.
SHOWN, UNSEEN = 40, 12
PARTS = {"train": ("#6B6B6B", "o", 7.0), "val": ("#0072B2", "^", 5.0), "test": ("#D55E00", "x", 6.0)}


def draw_symbols(source: TextData, path: Path) -> Path:
    """Each frequent symbol's share of the three parts, and those that training never sees, as a PNG; or `OSError`."""
    counts = {part: source.symbol_counts(part) for part in PARTS}
    shares = {part: {symbol: n / some.total() for symbol, n in some.items()} for part, some in counts.items()}
    total: Counter[str] = Counter()
    for share in shares.values():  # a short part's symbols count as much as a long one's
        total.update(share)
    symbols = [symbol for symbol, _ in sorted(total.items(), key=lambda item: (-item[1], item[0]))[:SHOWN]]
    unseen: Counter[str] = Counter()
    for part in ("val", "test"):
        unseen.update({symbol: n for symbol, n in counts[part].items() if symbol not in counts["train"]})
    strange = [symbol for symbol, _ in unseen.most_common(UNSEEN)]
    with canvas(2, width=11.5, height=4.6, widths=(SHOWN, 1.3 * UNSEEN)) as (figure, (left, right)):
        right.sharey(left)
        _dots(left, symbols, shares, source)
        left.set_ylabel("share of the part's symbols")
        sizes = {part: some.total() for part, some in counts.items()}
        said = ", ".join(f"{part} {size:,}" for part, size in sizes.items())
        left.set_title(f"The {len(symbols)} most frequent of {len(total):,} symbols ({said})")
        left.legend(loc="upper right", ncols=len(PARTS))
        lowest = min(share[symbol] for share in shares.values() for symbol in symbols if symbol in share)
        left.set_yscale("log")
        left.set_ylim(min(10 ** math.floor(math.log10(lowest)), 0.01), 1)
        left.yaxis.set_minor_formatter("")
        left.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
        _dots(right, strange, {part: shares[part] for part in ("val", "test")}, source)
        right.set_title("Never seen in training")
        right.tick_params(axis="y", length=0)
        lost = {
            part: sum(shares[part][s] for s in counts[part] if s not in counts["train"]) for part in ("val", "test")
        }
        right.set_xlabel("in all: " + ", ".join(f"{100 * share:.2g} % of {part}" for part, share in lost.items()))
        if not strange:
            right.text(0.5, 0.5, "none", transform=right.transAxes, ha="center", color=PARTS["train"][0])
        (written,) = save(figure, path.with_suffix(""), {"png"})
    return written


def _dots(axes: Axes, symbols: list[str], shares: dict[str, dict[str, float]], source: TextData) -> None:
    for part, share in shares.items():
        color, marker, size = PARTS[part]
        at = [index for index, symbol in enumerate(symbols) if symbol in share]
        style: dict[str, Any] = {"markerfacecolor": "none" if marker == "o" else color, "markeredgewidth": 1.3}
        axes.plot(at, [share[symbols[i]] for i in at], marker, color=color, markersize=size, label=part, **style)
    axes.grid(visible=True)
    names = [_drawable(label(symbol, source.vocabulary.of_bytes), symbol) for symbol in symbols]
    axes.set_xlim(-0.8, max(len(symbols), 5) - 0.2)
    axes.set_xticks(range(len(symbols)), names)
    for text, name in zip(axes.get_xticklabels(), names, strict=True):
        text.set_rotation(90 if len(name) > 2 else 0)


def _drawable(name: str, symbol: str) -> str:
    """The name, or U+4E2D where the font has no such letter; a dollar sign is no mathematics."""
    font = FT2Font(findfont(FontProperties()))
    drawn = name if all(font.get_char_index(ord(letter)) for letter in name) else f"U+{ord(symbol):04X}"
    return drawn.replace("$", r"\$")
