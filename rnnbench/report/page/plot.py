"""What a figure of the page is made of: traces and axes as plotly reads them, without plotly.

Colours are those of paper; the page's script exchanges them in the dark (`DARK`). Names are escaped, since plotly reads
tags in them.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rnnbench.report.figures.style import FIXED, GREY, OTHERS, Look
from rnnbench.report.page.text import shorts
from rnnbench.report.significance import Estimate
from rnnbench.report.statistics import Group

#: matplotlib's names of markers and line styles, in plotly's.
SYMBOLS = {
    "o": "circle", "s": "square", "^": "triangle-up", "v": "triangle-down", "<": "triangle-left", ">": "triangle-right",
    "D": "diamond", "d": "diamond-tall", "P": "cross", "X": "x", "*": "star", "p": "pentagon", "h": "hexagon",
    "H": "hexagon2", "8": "octagon", "x": "x-thin-open", "+": "cross-thin-open", "1": "y-down-open", "2": "y-up-open",
    "|": "line-ns-open", "3": "y-left-open",
}  # fmt: skip
DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}
#: Of reference lines, one after the other.
REFERENCES = ("6px,4px", "2px,3px", "10px,3px,2px,3px", "14px,4px")
#: Each of our colours as it is seen on a dark ground.
DARK = {
    FIXED["rnn"][0]: "#FF8B4A", FIXED["lstm"][0]: "#4C9FEA", FIXED["gru"][0]: "#2FC79C", OTHERS[0][0]: "#E9A3C9",
    OTHERS[1][0]: "#F5BC42", OTHERS[2][0]: "#A5DCFF", OTHERS[3][0]: "#ABABAB", OTHERS[4][0]: "#F2F2F2", GREY: "#9BA5AF",
}  # fmt: skip
#: Pixels: of a figure without its legend, of a row of names, and of all else around such rows.
HEIGHT, ROW, AROUND = 340, 19, 96
Trace = dict[str, Any]


@dataclass(frozen=True)
class Plot:
    """A figure of the page: its question, plotly's traces and axes, and what must be known to read it.

    height: in pixels, without the legend. wide: whether it takes the page's whole width.
    """

    title: str
    data: tuple[Trace, ...]
    x: Mapping[str, Any]
    y: Mapping[str, Any]
    note: str = ""
    height: int = HEIGHT
    wide: bool = False

    def plain(self) -> dict[str, Any]:
        """As the page's script wants it."""
        layout = {"xaxis": dict(self.x), "yaxis": dict(self.y), "height": self.height}
        return {"data": list(self.data), "layout": layout}


def safe(text: str) -> str:
    """A name in which plotly sees no tag."""
    return html.escape(text, quote=False)


def dash(style: str | tuple[Any, ...]) -> str:
    """A line style of matplotlib's, a name or (0, (on, off, …)) in points, as plotly's."""
    return DASHES[style] if isinstance(style, str) else ",".join(f"{2 * part:g}px" for part in style[1])


def trace(name: str, x: Iterable[Any], y: Iterable[float], look: Look, mode: str = "lines+markers") -> Trace:
    """A series in its colour, marker and line style; it and what hangs on it are shown and hidden together."""
    return {
        "type": "scatter",
        "mode": mode,
        "name": safe(name),
        "legendgroup": safe(name),
        "x": list(x),
        "y": shorts(y, 5),
        "line": {"color": look.color, "dash": dash(look.linestyle), "width": 2},
        "marker": {"color": look.color, "symbol": SYMBOLS.get(look.marker, "circle"), "size": 8},
    }


def reference(name: str, x: Sequence[Any], y: Sequence[float], number: int = 0) -> Trace:
    """A grey line to measure others against, the dashes telling several apart."""
    line = {"color": GREY, "dash": REFERENCES[number % len(REFERENCES)], "width": 1.4}
    return trace(name, x, y, Look(GREY, "o", "--"), "lines") | {"line": line}


def span(name: str, x: Sequence[Any], low: Sequence[float], high: Sequence[float], color: str) -> Trace:
    """The ground between two curves, which belongs to the series of that name."""
    return {
        "type": "scatter", "mode": "lines", "name": safe(name), "legendgroup": safe(name), "showlegend": False,
        "x": [*x, *reversed(x)], "y": shorts([*low, *reversed(high)]), "fill": "toself", "fillcolor": f"{color}26",
        "line": {"width": 0, "color": color}, "hoverinfo": "skip",
    }  # fmt: skip


def heat(x: Sequence[Any], y: Sequence[Any], z: Sequence[Sequence[float]], title: str, **more: Any) -> Trace:
    """Rows of numbers as colours, from dark (low) to bright."""
    return {
        "type": "heatmap", "x": list(x), "y": list(y), "z": [shorts(row) for row in z], "colorscale": "Viridis",
        "colorbar": {"title": {"text": title, "side": "right"}, "thickness": 12}, "name": "", "hoverongaps": False,
    } | more  # fmt: skip


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis with its title."""
    return {"title": {"text": title}} | more


def ticks(title: str, values: Sequence[float]) -> dict[str, Any]:
    """A logarithmic axis ticked at the values, with a margin at both ends."""
    distinct = sorted(set(values))
    low, high = math.log10(distinct[0]), math.log10(distinct[-1])
    margin = max(0.06 * (high - low), 0.1)
    named = {"tickvals": distinct, "ticktext": [f"{value:g}" for value in distinct]}
    return axis(title, type="log", range=[low - margin, high + margin], **named)


def rows_axis(names: Sequence[str]) -> dict[str, Any]:
    """A vertical axis of names, the first on top; rows are counted from 0."""
    named = {"tickvals": list(range(len(names))), "ticktext": [safe(name) for name in names]}
    return {"range": [len(names) - 0.5, -0.5], "zeroline": False, "showgrid": len(names) < 40, **named}


def rows_height(names: Sequence[str]) -> int:
    """Of a figure with a row for each of these names."""
    return AROUND + max(ROW * len(names), 3 * ROW)


def error_bars(estimates: Sequence[Estimate], look: Look, thickness: float, width: float) -> dict[str, Any] | None:
    """Their intervals, as plotly's error_x and error_y have them; None without any."""
    if not any(e.interval for e in estimates):
        return None
    ends = [e.interval or (e.mean, e.mean) for e in estimates]
    return {
        "type": "data", "symmetric": False, "thickness": thickness, "width": width, "color": look.color,
        "array": shorts(high - e.mean for e, (_, high) in zip(estimates, ends, strict=True)),
        "arrayminus": shorts(e.mean - low for e, (low, _) in zip(estimates, ends, strict=True)),
    }  # fmt: skip


def joined(*notes: str) -> str:
    """The notes that say something, as one."""
    return " ".join(filter(None, notes))


def sentence(words: str | None) -> str:
    """Words as a sentence of their own."""
    return f"{words[0].upper()}{words[1:]}." if words else ""


def lost_note(groups: Sequence[Group]) -> str:
    """Where runs are missing from a figure."""
    hurt = [(g, len(g.results) - len(g.done)) for g in groups if len(g.done) < len(g.results)]
    if not hurt:
        return ""
    named = [f"{g.series} at {g.place} ({lost} of {len(g.results)})" for g, lost in hurt[:4]]
    return f"Lost runs: {', '.join(named)}{f' and {len(hurt) - 4} more' if len(hurt) > 4 else ''}."
