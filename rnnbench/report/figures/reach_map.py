"""How far the gradients of many cells reach at many lengths, in one picture."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from rnnbench.report.figures.panels import When, longest
from rnnbench.report.figures.style import GREY, canvas, looks, plain_number, save
from rnnbench.report.statistics import Group, cell_rank
from rnnbench.report.tables.solvable import Solvable, predicts
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


#: In points: a name's width by letter and its height, and half a marker.
LETTER, LINE, MARK = 4.6, 9.5, 3.5


def solvable_figure(found: Sequence[Solvable], folder: Path, formats: set[str]) -> list[Path]:
    """Log-log, the bracket as a bar; at the right edge what is beyond the lags measured; open triangles where all tried
    or none was solved.
    """
    known = [one for one in found if one.reach is not None and one.reach > 0 and not one.broken]
    if not known:
        return []
    tasks = {data: correlation for data, correlation in predicts(found).items() if data in {one.data for one in known}}
    styles = looks([one.cell for one in found])
    with canvas(len(tasks), width=6.6 * len(tasks), height=5.2) as (figure, panels):
        figure.suptitle("Does the gradient's reach at initialisation predict the longest solvable T?", weight="bold")
        for axes, (data, correlation) in zip(panels, tasks.items(), strict=True):
            own = [one for one in known if one.data == data]
            edge = max((one.lags or 0.0 for one in own), default=1.0)
            places = []
            for one in own:
                assert one.reach is not None
                x, y = min(one.reach, edge), one.found.middle
                look, open_ended = styles[one.cell], one.found.failed is None or one.found.solved is None
                mark = look.marker if not open_ended else "^" if one.found.failed is None else "v"
                axes.plot(x, y, mark, color=look.color, markerfacecolor="none" if open_ended else look.color)
                if one.found.solved is not None and one.found.failed is not None:
                    axes.plot([x, x], [one.found.solved, one.found.failed], color=look.color, linewidth=1.0, alpha=0.6)
                places.append((x, y, one.cell, look.color))
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.margins(x=0.12, y=0.2)
            axes.set_title(data.replace("_", " "), pad=24)
            above: dict[str, Any] = {"xycoords": "axes fraction", "xytext": (0, 5), "textcoords": "offset points"}
            axes.annotate("\n".join(textwrap.wrap(correlation.text(), 110)), (0, 1), **above, fontsize=8, color=GREY)
            axes.set_xlabel("lag at which the gradient is down to 1/100, untrained")
            axes.set_ylabel("longest solvable T")
            plain_number(axes.xaxis)
            plain_number(axes.yaxis)
            if any(math.isinf(one.reach or 0.0) for one in own):
                axes.axvline(edge, color=GREY, linestyle=(0, (4, 3)), linewidth=0.9, zorder=0)
                beside: dict[str, Any] = {"xycoords": axes.get_xaxis_transform(), "textcoords": "offset points"}
                axes.annotate(f"≥ {edge:g}", (edge, 1.0), (4, -11), **beside, fontsize=8.5, color=GREY)
            _name(axes, places)
        note = "bars: from the last T solved to the first failed; △: all T tried were solved; ▽: not even the smallest"
        figure.supxlabel(note, fontsize=8.5, color=GREY)
        return save(figure, folder / "reach_predicts", formats)


def _name(axes: Axes, places: Sequence[tuple[float, float, str, str]]) -> None:
    """Each point's name beside it, right where there is room, moved up as far as it has to be to lie on no other."""
    axes.figure.draw_without_rendering()  # type: ignore[union-attr]  # before it a panel does not know its size
    scale = 72 / axes.figure.dpi
    points = {place: axes.transData.transform(place[:2]) * scale for place in places}
    taken = [(across - MARK, across + MARK, up) for across, up in points.values()]
    for place in sorted(places, key=lambda place: (place[1], place[0])):
        (x, y, name, color), (across, up) = place, map(float, points[place])
        left, height = across + 2 * MARK, up
        right = left + LETTER * len(name)
        side: tuple[float, Literal["left", "right"]] = (2 * MARK, "left")
        if right > axes.bbox.x1 * scale:  # no room there
            left, right, side = across - 2 * MARK - LETTER * len(name), across - 2 * MARK, (-2 * MARK, "right")
        while any(abs(height - other) < LINE and a < right and left < b for a, b, other in taken):
            height += 1.0
        taken.append((left, right, height))
        how: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 8, "color": color}
        axes.annotate(name, (x, y), (side[0], height - up), ha=side[1], **how)
