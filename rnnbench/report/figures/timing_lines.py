"""Speed and memory along what a study sweeps, a line a contestant."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnbench.report.figures.contestants import Marks
from rnnbench.report.figures.panels import at_the_edge
from rnnbench.report.figures.style import GREY, canvas, legend_below, length_axis, plain_log_axis, save
from rnnbench.report.timings import Sweep, Timed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: More lines than this do not go into one panel: each cell has its own.
TANGLE, COLUMNS = 7, 4
AXES = {"seq_len": "sequence length T", "batch_size": "batch size B", "hidden_size": "width H", "num_layers": "layers"}
#: Of a contestant a number, or None; the question; the unit.
Panel = tuple[Callable[[Timed], float | None], str, str]
SPEED: Panel = (
    lambda one: 1e-3 * one.numbers["tokens_per_second"],
    "How fast does it train?",
    "tokens per second (thousand)",
)
MEMORY: Panel = (lambda one: one.numbers.get("peak_mib"), "How much memory does it take?", "peak memory (MiB)")
LATENCY: Panel = (lambda one: 1e3 * one.numbers["decode_ms"], "How long does a token take?", "µs a token")
REPLAYED: Panel = (
    lambda one: 1e3 * one.numbers["replay_decode_ms"] if "replay_decode_ms" in one.numbers else None,
    "… and without Python in between?",
    "µs a token, replayed as a CUDA graph",
)
Lines = dict[tuple[str, str], list[Timed]]


def lines_figure(found: Sequence[Timed], swept: Sweep, path: Path, formats: set[str]) -> list[Path]:
    """Tokens per second and peak memory, or the latency of a token; in one panel each, or cell by cell where they are
    many. A cross stands for a contestant that ran out of memory.
    """
    lines = swept.lines(found)
    wanted = (LATENCY, REPLAYED) if found[0].decoding else (SPEED, MEMORY)
    shown = [panel for panel in wanted if any(panel[0](one) for line in lines.values() for one in line)]
    lost = [one for one in found if one.out_of_memory]
    marks = Marks.of([*lines, *((one.cell, swept.contestant(one)) for one in lost)])
    if len(lines) <= TANGLE:
        with canvas(len(shown), width=5.2 * len(shown) if len(shown) > 1 else None) as (figure, panels):
            for panel, axes in zip(shown, panels, strict=True):
                _draw(axes, lines, lost, swept, marks, panel)
                axes.set_title(panel[1])
            if REPLAYED in shown:
                _one_scale(panels)
            marks.legend(panels[0])
            _cross(panels[0], lost)
            legend_below(figure, panels[0])
            return save(figure, path, formats)
    return _cell_by_cell(lines, lost, swept, marks, shown, path, formats)


def _cell_by_cell(
    lines: Lines,
    lost: Sequence[Timed],
    swept: Sweep,
    marks: Marks,
    shown: Sequence[Panel],
    path: Path,
    formats: set[str],
) -> list[Path]:
    """A panel a cell, all with one scale. What is shown second stands below, of up to `COLUMNS` cells; latencies of
    replays stand in the same panel, hollow.
    """
    cells, hollow = list(marks.colors), REPLAYED in shown
    shown = shown if len(cells) <= COLUMNS and not hollow else shown[:1]
    rows = math.ceil(len(cells) / COLUMNS) * len(shown)
    columns = math.ceil(len(cells) / (rows / len(shown)))
    with canvas(rows * columns, width=max(3.3 * columns, 6.4), height=2.9 * rows + 0.5, rows=rows) as (figure, panels):
        for axes in panels[len(cells) * len(shown) :]:
            axes.remove()
        for at, (cell, panel) in enumerate((cell, panel) for panel in shown for cell in cells):
            axes = panels[at]
            own = {key: line for key, line in lines.items() if key[0] == cell}
            _draw(axes, own, [one for one in lost if one.cell == cell], swept, marks, panel)
            if hollow:
                _draw(axes, own, [], swept, marks, REPLAYED, markerfacecolor="white", linewidth=0.9)
                axes.set_ylabel(panel[2])
            if at < len(cells):
                axes.set_title(cell)
            if at % columns:
                axes.set_ylabel("")
            if at // columns < rows - 1 and at + columns < len(cells) * len(shown):
                axes.set_xlabel("")
        for row in range(len(shown)):
            _one_scale(panels[row * len(cells) : (row + 1) * len(cells)])
        figure.suptitle(" ".join(panel[1] for panel in shown), x=0.01, ha="left", fontsize=12, fontweight="bold")
        marks.legend(panels[0], cells=False)
        if hollow:
            panels[0].plot([], [], "o", color=GREY, markerfacecolor="white", label="replayed as a CUDA graph")
        _cross(panels[0], lost)
        legend_below(figure, panels[0])
        return save(figure, path, formats)


def _one_scale(panels: Sequence[Axes]) -> None:
    limits = [axes.get_ylim() for axes in panels]
    for axes in panels:
        axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
        plain_log_axis(axes)


def _draw(
    axes: Axes, lines: Lines, lost: Sequence[Timed], swept: Sweep, marks: Marks, panel: Panel, **style: Any
) -> None:
    number, _, unit = panel
    for (cell, contestant), line in lines.items():
        points = [(swept.of(one), value) for one in line if (value := number(one))]
        if points:
            axes.plot(*zip(*points, strict=True), **marks.line(cell, contestant) | style)
    length_axis(axes, swept.values)
    axes.set_xlabel(AXES[swept.name] + (", B·T constant" if swept.constant_tokens else ""))
    plain_log_axis(axes)
    axes.set_ylabel(unit)
    if panel is not SPEED:
        for one in lost:
            at_the_edge(axes, swept.of(one), "×", marks.colors[one.cell])


def _cross(axes: Axes, lost: Sequence[Timed]) -> None:
    if lost:
        axes.plot([], [], "x", color=GREY, markersize=8, markeredgewidth=2.5, label="out of memory")
