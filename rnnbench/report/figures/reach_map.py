"""How far gradients reach: of many cells at many lengths, against a cell's option, against the longest solvable T."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from rnnbench.config import CellConfig
from rnnbench.report.figures.panels import When, longest
from rnnbench.report.figures.style import (
    GREY,
    REFERENCE,
    Look,
    canvas,
    file_name,
    finish,
    looks,
    plain_log_axis,
    plain_number,
    save,
    small_note,
)
from rnnbench.report.statistics import Group, cell_rank
from rnnbench.report.tables.solvable import Solvable, predicts
from rnnbench.report.tables.table import lag

TITLES: dict[When, str] = {"init": "At initialisation", "final": "After training"}
#: The first lag at which a gradient is down to a hundredth, and how an axis says it.
METRIC, WORDS = "hundredth_lag", "lag at which the gradient is down to 1/100"


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
    names, lengths = list(longest(groups)), sorted({g.length for g in groups})
    names.sort(key=lambda name: (-_reach(longest(groups)[name]), cell_rank(name)))
    blocks = {when: _squares(groups, names, lengths, when) for when in TITLES}
    lags = np.concatenate([np.minimum(squares.values, squares.lasts).ravel() for squares in blocks.values()])
    known = lags[(lags > 0) & np.isfinite(lags)]
    if not known.size:
        return []
    norm = LogNorm(float(known.min()), max(float(known.max()), 2 * float(known.min())))
    with canvas(2, width=4.2 + 1.24 * len(lengths), height=1.7 + 0.3 * len(names)) as (figure, panels):
        for axes, (when, squares) in zip(panels, blocks.items(), strict=True):
            image = _draw_squares(axes, squares, norm)
            axes.set_xticks(range(len(lengths)), [str(length) for length in lengths])
            axes.set_yticks(range(len(names)), names if axes is panels[0] else [])
            axes.set(title=TITLES[when], xlabel=groups[0].symbol)
        bar = figure.colorbar(image, ax=panels, fraction=0.05, pad=0.02)
        bar.set_label(WORDS + ", ○ not vanishing" * any(squares.marked.any() for squares in blocks.values()))
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


def _draw_squares(axes: Axes, squares: Squares, norm: LogNorm) -> AxesImage:
    values, lasts, marked, lost = squares
    least, most = norm.vmin or 0.0, norm.vmax or math.inf
    image = axes.imshow(np.minimum(np.minimum(values, lasts), most), norm=norm, cmap="viridis", aspect="auto")
    style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 9}
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            last = float(lasts[row, column])
            beyond = lag(value, last if math.isfinite(last) else None)
            text = ("○ " if marked[row, column] else "") + beyond.replace("≥ ", "≥")
            color = "white" if min(value, last) < math.sqrt(least * most) else "black"
            axes.text(column, row, text, color=color, **style)
        elif lost[row, column]:
            axes.text(column, row, "lost", color=GREY, **style)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    return image


def _reach(g: Group) -> float:
    """The lag that sorts a line: trained, else at initialisation."""
    lags = [value for when in ("final", "init") if (value := g.median(f"{when}/{METRIC}")) is not None]
    return lags[0] if lags else 0.0


#: In points: a name's width by letter and its height, and half a marker.
LETTER, LINE, MARK = 4.6, 9.5, 3.5


def solvable_figure(searches: Sequence[Solvable], folder: Path, formats: set[str]) -> list[Path]:
    """Log-log, the bracket as a bar; at the right edge what is beyond the lags measured; open triangles where all tried
    or none was solved.
    """
    known = [one for one in searches if one.reach is not None and one.reach > 0 and not one.broken]
    if not known:
        return []
    tasks = {
        data: correlation for data, correlation in predicts(searches).items() if data in {one.data for one in known}
    }
    styles = looks([one.cell for one in searches])
    with canvas(len(tasks), width=6.6 * len(tasks), height=5.2) as (figure, panels):
        figure.suptitle("Does the gradient's reach at initialisation predict the longest solvable T?", weight="bold")
        for axes, (data, correlation) in zip(panels, tasks.items(), strict=True):
            on_task = [one for one in known if one.data == data]
            edge = max((one.lags or 0.0 for one in on_task), default=1.0)
            points = []
            for one in on_task:
                assert one.reach is not None
                x, y, bracket, look = min(one.reach, edge), one.bracket.middle, one.bracket, styles[one.cell]
                if bracket.solved is not None and bracket.failed is not None:
                    axes.plot(x, y, look.marker, color=look.color)
                    axes.plot([x, x], [bracket.solved, bracket.failed], color=look.color, linewidth=1.0, alpha=0.6)
                else:
                    axes.plot(x, y, "^" if bracket.failed is None else "v", color=look.color, markerfacecolor="none")
                points.append((x, y, one.cell, look.color))
            axes.set(xscale="log", yscale="log", xlabel=f"{WORDS}, untrained", ylabel="longest solvable T")
            axes.margins(x=0.12, y=0.2)
            axes.set_title(data.replace("_", " "), pad=24)
            small_note(axes, "\n".join(textwrap.wrap(correlation.text(), 110)))
            plain_number(axes.xaxis)
            plain_number(axes.yaxis)
            if any(math.isinf(one.reach or 0.0) for one in on_task):
                axes.axvline(edge, **REFERENCE | {"linewidth": 0.9}, zorder=0)
                beside: dict[str, Any] = {"xycoords": axes.get_xaxis_transform(), "textcoords": "offset points"}
                axes.annotate(f"≥ {edge:g}", (edge, 1.0), (4, -11), **beside, fontsize=8.5, color=GREY)
            _name_points(axes, points)
        note = "bars: from the last T solved to the first failed; △: all T tried were solved; ▽: not even the smallest"
        figure.supxlabel(note, fontsize=8.5, color=GREY)
        return save(figure, folder / "reach_predicts", formats)


def _name_points(axes: Axes, points: Sequence[tuple[float, float, str, str]]) -> None:
    """Each point's name beside it, on the right where it fits, moved up as far as it has to be to lie on no other."""
    axes.figure.draw_without_rendering()  # type: ignore[union-attr]  # before it a panel does not know its size
    scale = 72 / axes.figure.dpi
    placed = {point: axes.transData.transform(point[:2]) * scale for point in points}
    taken = [(across - MARK, across + MARK, up) for across, up in placed.values()]
    for point in sorted(points, key=lambda point: (point[1], point[0])):
        (x, y, name, color), (across, up) = point, map(float, placed[point])
        left, height = across + 2 * MARK, up
        right = left + LETTER * len(name)
        side: tuple[float, Literal["left", "right"]] = (2 * MARK, "left")
        if right > axes.bbox.x1 * scale:
            left, right, side = across - 2 * MARK - LETTER * len(name), across - 2 * MARK, (-2 * MARK, "right")
        while any(abs(height - other) < LINE and a < right and left < b for a, b, other in taken):
            height += 1.0
        taken.append((left, right, height))
        style: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 8, "color": color}
        axes.annotate(name, (x, y), (side[0], height - up), ha=side[1], **style)


#: So many values make a sweep of an option.
ENOUGH = 4
WHEN = {"init": "at initialisation", "final": "trained"}
SweptOption = list[tuple[float, Group]]


def option_figures(groups: Sequence[Group], folder: Path, suffix: str, formats: set[str]) -> list[Path]:
    """A figure for each cell that a study has at four or more values of a numeric option, all else equal."""
    sweeps: dict[tuple[str, str, int, object], SweptOption] = {}
    for g in groups:
        cell = CellConfig.parse(g.results[0].run["cell"])
        if len(cell.options) == 1:
            ((option, value),) = cell.options.items()
            if isinstance(value, int | float) and not isinstance(value, bool):
                sweeps.setdefault((cell.name, option, g.length, g.extras), []).append((float(value), g))
    last = {(name, option): sweep for (name, option, *_), sweep in sweeps.items() if len(sweep) >= ENOUGH}
    written: list[Path] = []
    for (name, option), sweep in last.items():
        path = folder / file_name(f"{name}_against_{option}{suffix}")
        written += _draw_option(name, option, sorted(sweep, key=lambda pair: pair[0]), path, formats)
    return written


def _draw_option(name: str, option: str, sweep: SweptOption, path: Path, formats: set[str]) -> list[Path]:
    look = looks([name])[name]
    look = Look(look.color, look.marker, "-")
    with canvas(2) as (figure, (left, right)):
        if not _draw_metric(left, sweep, METRIC, look):
            return []
        lags = [v for _, g in sweep for when in WHEN for v in g.values(f"{when}/{METRIC}") if math.isfinite(v)]
        plain_log_axis(left)
        left.set_ylim(top=3 * max(lags, default=1))
        words = option.replace("_", " ")
        left.set(title=f"How far do gradients of {name} reach?", xlabel=words, ylabel=WORDS)
        if _draw_metric(right, sweep, "lyapunov_1", look):
            right.axhline(0, **REFERENCE)
        right.set(title="Order or chaos?", xlabel=words, ylabel=r"$\lambda_1$ (nats a step)")
        return finish(figure, [left], path, formats)


def _draw_metric(axes: Axes, sweep: SweptOption, metric: str, look: Look) -> bool:
    """Medians as a line, seeds as points; at the upper edge a lag beyond those measured, at the lower one −∞."""
    drawn = False
    for when, words in WHEN.items():
        style = look.line() | ({"linestyle": "--", "markerfacecolor": "white"} if when == "init" else {})
        medians = [(value, m) for value, g in sweep if (m := g.median(f"{when}/{metric}")) is not None]
        if not medians:
            continue
        drawn = True
        x, y = [value for value, _ in medians], [m if math.isfinite(m) else math.nan for _, m in medians]
        axes.plot(x, y, **style, label=words)
        for value, g in sweep:
            seeds = [v for v in g.values(f"{when}/{metric}") if math.isfinite(v)]
            axes.plot([value] * len(seeds), seeds, ".", color=look.color, alpha=0.35, markersize=4)
        for value, g in sweep:
            m = g.median(f"{when}/{metric}")
            if m is not None and math.isinf(m):
                text, up = (lag(m, g.median(f"{when}/lags")).replace("≥ ", "≥"), 0.96) if m > 0 else ("−∞", 0.04)
                place: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "color": look.color, "ha": "center"}
                axes.annotate(text, (value, up), **place, size=9)
    return drawn
