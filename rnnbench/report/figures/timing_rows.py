"""Many cells, or many shapes, in one picture: a row each, a mark a contestant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rnnbench.report.figures.contestants import Marks, backend_color
from rnnbench.report.figures.style import canvas, legend_below, plain_number, save
from rnnbench.report.figures.timing_lines import LATENCY, MEMORY, REPLAYED, SPEED, Panel
from rnnbench.report.statistics import cell_rank
from rnnbench.report.timings import DEFAULTS, SETTINGS, Sweep, Timed, differing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Column = tuple[Panel, list[Timed], str]


def rows_figure(found: Sequence[Timed], swept: Sweep | None, path: Path, formats: set[str]) -> list[Path]:
    """Where something is swept a row a cell, the fastest first: speed at both ends, memory at the upper one; else a row
    for each cell and shape.
    """
    timed = [one for one in found if one.ms is not None]
    settings = [] if swept is not None else differing(timed)
    last = [one for one in timed if swept is None or swept.of(one) == swept.values[-1]]
    speed, second = (LATENCY, REPLAYED) if found[0].decoding else (SPEED, MEMORY)
    wanted: list[Column] = [(speed, last, ""), (second, last, "")]
    if swept is not None:
        head = SETTINGS[swept.name]
        first = [one for one in timed if swept.of(one) == swept.values[0]]
        wanted = [(speed, first, f" {head} = {swept.values[0]}")]
        wanted += [(panel, last, f" {head} = {swept.values[-1]}") for panel in (speed, second)]
    columns = [column for column in wanted if any(column[0][0](one) for one in column[1])]
    by_cell = sorted(timed, key=lambda one: cell_rank(one.cell))
    labels = list(dict.fromkeys(_label(one, settings) for one in by_cell)) if settings else _ranked(timed, last)
    contestants = {id(one): str(one.backend) if swept is None else swept.contestant(one) for one in timed}
    marks = Marks.of((one.cell, contestants[id(one)]) for one in timed)
    width = 4.2 * len(columns) + 0.085 * max(map(len, labels))
    with canvas(len(columns), width=width, height=1.7 + 0.24 * len(labels)) as (figure, panels):
        for axes, (panel, members, where) in zip(panels, columns, strict=True):
            for contestant, (marker, _) in marks.styles.items():
                own = [one for one in members if contestants[id(one)] == contestant and panel[0](one)]
                x, y = [panel[0](one) for one in own], [labels.index(_label(one, settings)) for one in own]
                color = backend_color(contestant)
                axes.plot(x, y, marker, color=color, label=contestant, markersize=5)  # type: ignore[arg-type]
            _rows(axes, labels if axes is panels[0] else [""] * len(labels))
            axes.set_xscale("log")
            plain_number(axes.xaxis)
            axes.set_title(f"{panel[1]}{where}")
            axes.set_xlabel(panel[2])
        legend_below(figure, panels[0])
        return save(figure, path, formats)


def _label(one: Timed, settings: Sequence[str]) -> str:
    values = ((name, one.settings[name]) for name in settings)
    shape = [
        SETTINGS[name] if value is True else f"{SETTINGS[name]} {value}"
        for name, value in values
        if value not in (None, DEFAULTS.get(name))
    ]
    return ", ".join([one.cell, *shape])


def _ranked(timed: Sequence[Timed], last: Sequence[Timed]) -> list[str]:
    """Cells by their fastest contestant; those that are only at smaller sizes come last."""
    best = dict.fromkeys((one.cell for one in timed), 0.0)
    for one in last:
        best[one.cell] = max(best[one.cell], one.numbers["tokens_per_second"])
    return sorted(best, key=lambda cell: -best[cell])


def _rows(axes: Axes, labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
