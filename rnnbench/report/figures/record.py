"""A record over time, with its split."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rnnbench.report.figures.style import GREY, canvas, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from rnnbench.data.series.windows import SeriesData

#: Columns that are drawn, and points of each: a longer record is drawn by the range of each piece of it.
COLUMNS, POINTS = 4, 2000
#: Of the train, val and test parts.
SHADES = {"train": "#FFFFFF", "val": "#FFE9C7", "test": "#D9E8F6"}


def draw_series(source: SeriesData, path: Path) -> Path:
    """The first columns of a record over time, its parts shaded, its holes left open, as a PNG.

    Raises:
        OSError: The file cannot be written.
    """
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
