"""Many cells, or many shapes, in one picture: a row each, a mark a contestant."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnbench.report.figures.contestants import Marks, backend_color
from rnnbench.report.figures.panels import at_the_edge
from rnnbench.report.figures.roofline import roofline
from rnnbench.report.figures.style import (
    GREY,
    canvas,
    file_name,
    legend_below,
    length_axis,
    plain_log_axis,
    plain_number,
    save,
)
from rnnbench.report.results import Result
from rnnbench.report.statistics import CROWD, cell_rank
from rnnbench.report.timings import DEFAULTS, SETTINGS, SweptSetting, Timed, differing, sweep, timings

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def rows_figure(found: Sequence[Timed], swept: SweptSetting | None, path: Path, formats: set[str]) -> list[Path]:
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


#: More lines than this do not go into one panel: each cell has its own.
TANGLE, COLUMNS = 7, 4
AXES = {"seq_len": "sequence length T", "batch_size": "batch size B", "hidden_size": "width H", "num_layers": "layers"}
#: Of a contestant a number, or None; the question; the unit.
Measure = tuple[Callable[[Timed], float | None], str, str]
Column = tuple[Measure, list[Timed], str]
SPEED: Measure = (
    lambda one: 1e-3 * one.numbers["tokens_per_second"],
    "How fast does it train?",
    "tokens per second (thousand)",
)
MEMORY: Measure = (lambda one: one.numbers.get("peak_mib"), "How much memory does it take?", "peak memory (MiB)")
LATENCY: Measure = (lambda one: 1e3 * one.numbers["decode_ms"], "How long does a token take?", "µs a token")
REPLAYED: Measure = (
    lambda one: 1e3 * one.numbers["replay_decode_ms"] if "replay_decode_ms" in one.numbers else None,
    "… and without Python in between?",
    "µs a token, replayed as a CUDA graph",
)
Lines = dict[tuple[str, str], list[Timed]]


def lines_figure(found: Sequence[Timed], swept: SweptSetting, path: Path, formats: set[str]) -> list[Path]:
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
    swept: SweptSetting,
    marks: Marks,
    shown: Sequence[Measure],
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
    axes: Axes, lines: Lines, lost: Sequence[Timed], swept: SweptSetting, marks: Marks, panel: Measure, **style: Any
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


#: What a figure's file is called after.
NAMES = {"seq_len": "length", "batch_size": "batch", "hidden_size": "width", "num_layers": "layers"}


def timing_figures(results: Sequence[Result], folder: Path, formats: set[str], suffix: str = "") -> list[Path]:
    """Throughput and memory of training, latency of decoding, whichever a study has; and the roofline of each.

    Each device and number format has figures of its own: together they are a tangle, and they have no common roof.
    """
    found = [one for one in timings(results) if one.backend is not None]
    kinds: dict[tuple[bool, str, str], list[Timed]] = {}
    for one in found:
        key = (one.decoding, str(one.settings["dtype"]), str(one.settings["device"]))
        kinds.setdefault(key, []).append(one)
    written: list[Path] = []
    for (decoding, *kind), own in sorted(kinds.items(), key=lambda item: item[0]):
        if not any(one.ms is not None for one in own):
            continue
        swept, stem = sweep(own), "decoding" if decoding else "timing"
        several = [index for index in (0, 1) if len({names[1:][index] for names in kinds}) > 1]
        end = file_name("".join(f"-{kind[index]}" for index in several)) + suffix
        if swept is not None and len({one.cell for one in own}) < CROWD:
            written += lines_figure(own, swept, folder / f"{stem}_against_{NAMES[swept.name]}{end}", formats)
        else:
            written += rows_figure(own, swept, folder / f"{stem}_ranked{end}", formats)
        if swept is not None or not differing(own):  # under one roof stands one size
            written += roofline(own, folder / f"{stem}_roofline{end}", formats)
    return written
