"""How far the gradients of many cells reach at many lengths, in one picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rnnbench.report.figures.panels import When, longest
from rnnbench.report.figures.style import GREY, canvas, plain_number, save
from rnnbench.report.statistics import Group, cell_rank
from rnnbench.report.tables.table import lag

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import LogNorm
    from matplotlib.image import AxesImage
    from numpy.typing import NDArray

TITLES: dict[When, str] = {"init": "At initialisation", "final": "After training"}
#: The first lag at which a gradient is down to a hundredth.
METRIC = "hundredth_lag"


class Squares(NamedTuple):
    """A row a name, a column a length: lags, NaN where there is none, and the last that was measured; which do not
    vanish; where no run is left.
    """

    values: NDArray[np.float64]
    lasts: NDArray[np.float64]
    marked: NDArray[np.bool_]
    lost: NDArray[np.bool_]


def reach_map(groups: Sequence[Group], path: Path, formats: set[str]) -> list[Path]:
    """Cells × lengths, the farthest first; a square is the median lag over seeds, at initialisation and trained.

    A circle marks a square whose verdict is not vanishing. For studies of too many cells for lines, at several T.
    """
    from matplotlib.colors import LogNorm

    names, lengths = list(longest(groups)), sorted({g.length for g in groups})
    names.sort(key=lambda name: (-_reach(groups, name), cell_rank(name)))
    blocks = {when: _squares(groups, names, lengths, when) for when in TITLES}
    found = np.concatenate([np.minimum(squares.values, squares.lasts).ravel() for squares in blocks.values()])
    known = found[found > 0]
    known = known[np.isfinite(known)]
    if not known.size:
        return []
    norm = LogNorm(float(known.min()), max(float(known.max()), 2 * float(known.min())))
    with canvas(2, width=4.2 + 1.24 * len(lengths), height=1.7 + 0.3 * len(names)) as (figure, panels):
        for axes, (when, squares) in zip(panels, blocks.items(), strict=True):
            image = _draw(axes, squares, norm)
            axes.set_xlabel(groups[0].symbol)
            axes.set_xticks(range(len(lengths)), [str(length) for length in lengths])
            axes.set_yticks(range(len(names)), names if axes is panels[0] else [])
            axes.set_title(TITLES[when])
        bar = figure.colorbar(image, ax=panels, fraction=0.05, pad=0.02)
        marked = ", ○ not vanishing" if any(s.marked.any() for s in blocks.values()) else ""
        bar.set_label(f"lag at which the gradient is down to 1/100{marked}")
        plain_number(bar.ax.yaxis)
        return save(figure, path, formats)


def _squares(groups: Sequence[Group], names: Sequence[str], lengths: Sequence[int], when: When) -> Squares:
    values, lasts = (np.full((len(names), len(lengths)), fill) for fill in (np.nan, np.inf))
    marked, lost = (np.zeros(values.shape, dtype=bool) for _ in range(2))
    for g in groups:
        at = names.index(g.series), lengths.index(g.length)
        value = g.median(f"{when}/{METRIC}")
        values[at] = np.nan if value is None else value
        lasts[at] = g.median(f"{when}/lags") or np.inf
        marked[at] = g.verdict(when) not in ("vanishing", None)
        lost[at] = not g.done
    return Squares(values, lasts, marked, lost)


def _draw(axes: Axes, squares: Squares, norm: LogNorm) -> AxesImage:
    values, lasts, marked, lost = squares
    least, most = norm.vmin or 0.0, norm.vmax or math.inf
    image = axes.imshow(np.minimum(np.minimum(values, lasts), most), norm=norm, cmap="viridis", aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            last = float(lasts[row, column])
            beyond = lag(value, last if math.isfinite(last) else None)
            text = ("○ " if marked[row, column] else "") + beyond.replace("≥ ", "≥")
            color = "white" if min(value, last) < math.sqrt(least * most) else "black"
            axes.text(column, row, text, color=color, ha="center", va="center", fontsize=9)
        elif lost[row, column]:
            axes.text(column, row, "lost", color=GREY, ha="center", va="center", fontsize=9)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    return image


def _reach(groups: Sequence[Group], name: str) -> float:
    """The lag that sorts a line: trained at its longest length, else at initialisation there."""
    g = longest(groups)[name]
    found = [value for when in ("final", "init") if (value := g.median(f"{when}/{METRIC}")) is not None]
    return found[0] if found else 0.0
