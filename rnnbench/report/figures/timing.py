"""Timings: lines along what is swept, a row a cell where there are many, and the roofline of each device."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes

from rnnbench.report.figures.contestants import Marks, backend_color, direct_labels
from rnnbench.report.figures.panels import at_the_edge, share_ylim
from rnnbench.report.figures.style import (
    GREY,
    canvas,
    file_name,
    finish,
    length_axis,
    plain_log_axis,
    plain_number,
    save,
)
from rnnbench.report.results import Result
from rnnbench.report.statistics import CROWD, cell_rank
from rnnbench.report.tables.timing import rate
from rnnbench.report.timings import DEFAULTS, SETTINGS, SIZES, SweptSetting, Timed, differing, sweep, timings


def rows_figure(of_kind: Sequence[Timed], swept: SweptSetting | None, path: Path, formats: set[str]) -> list[Path]:
    """Where something is swept a row a cell, the fastest first: speed at both ends, memory at the upper one; else a row
    for each cell and shape.
    """
    timed = [one for one in of_kind if one.ms is not None]
    settings = [] if swept is not None else differing(timed)
    last = [one for one in timed if swept is None or swept.of(one) == swept.values[-1]]
    speed, second = (LATENCY, REPLAYED) if of_kind[0].decoding else (SPEED, MEMORY)
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
    styles = Marks.of((one.cell, contestants[id(one)]) for one in timed).styles
    width = 4.2 * len(columns) + 0.085 * max(map(len, labels))
    with canvas(len(columns), width=width, height=1.7 + 0.24 * len(labels)) as (figure, panels):
        for axes, ((number, question, unit), members, where) in zip(panels, columns, strict=True):
            for contestant, (marker, _) in styles.items():
                points = [(value, labels.index(_label(one, settings))) for one in members
                          if contestants[id(one)] == contestant and (value := number(one))]  # fmt: skip
                x, y = [value for value, _ in points], [row for _, row in points]
                axes.plot(x, y, marker, color=backend_color(contestant), label=contestant, markersize=5)
            axes.set_yticks(range(len(labels)), labels if axes is panels[0] else [""] * len(labels))
            axes.set_ylim(len(labels) - 0.5, -0.5)
            axes.tick_params(axis="y", length=0)
            axes.set_xscale("log")
            plain_number(axes.xaxis)
            axes.set(title=f"{question}{where}", xlabel=unit)
        return finish(figure, panels[:1], path, formats)


def _label(one: Timed, settings: Sequence[str]) -> str:
    label = [one.cell]
    for name in settings:
        if (value := one.settings[name]) not in (None, DEFAULTS.get(name)):
            label.append(SETTINGS[name] if value is True else f"{SETTINGS[name]} {value}")
    return ", ".join(label)


def _ranked(timed: Sequence[Timed], last: Sequence[Timed]) -> list[str]:
    """Cells by their fastest contestant; those that are only at smaller sizes come last."""
    best = dict.fromkeys((one.cell for one in timed), 0.0)
    for one in last:
        best[one.cell] = max(best[one.cell], one.numbers["tokens_per_second"])
    return sorted(best, key=lambda cell: -best[cell])


#: More lines than this do not go into one panel: each cell has its own.
TANGLE, COLUMNS = 7, 4
AXES = {"seq_len": "sequence length T", "batch_size": "batch size B", "hidden_size": "width H", "num_layers": "layers"}
#: Of a contestant a number, or None; the question; the unit.
Measure = tuple[Callable[[Timed], float | None], str, str]
Column = tuple[Measure, list[Timed], str]


def _measure(name: str, factor: float, question: str, unit: str) -> Measure:
    return (lambda one: factor * one.numbers[name] if name in one.numbers else None), question, unit


SPEED = _measure("tokens_per_second", 1e-3, "How fast does it train?", "tokens per second (thousand)")
MEMORY = _measure("peak_mib", 1.0, "How much memory does it take?", "peak memory (MiB)")
LATENCY = _measure("decode_ms", 1e3, "How long does a token take?", "µs a token")
REPLAYED = _measure("replay_decode_ms", 1e3, "… and without Python in between?", "µs a token, replayed as a CUDA graph")
Lines = dict[tuple[str, str], list[Timed]]


def lines_figure(of_kind: Sequence[Timed], swept: SweptSetting, path: Path, formats: set[str]) -> list[Path]:
    """Tokens per second and peak memory, or the latency of a token; in one panel each, or cell by cell where they are
    many. A cross stands for a contestant that ran out of memory.
    """
    lines = swept.lines(of_kind)
    wanted = (LATENCY, REPLAYED) if of_kind[0].decoding else (SPEED, MEMORY)
    shown = [panel for panel in wanted if any(panel[0](one) for line in lines.values() for one in line)]
    lost = [one for one in of_kind if one.out_of_memory]
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
            return finish(figure, panels[:1], path, formats)
    return _cell_by_cell(lines, lost, swept, marks, shown, path, formats)


def _cell_by_cell(
    lines: Lines, lost: Sequence[Timed], swept: SweptSetting, marks: Marks, shown: Sequence[Measure], path: Path,
    formats: set[str],
) -> list[Path]:  # fmt: skip
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
            of_cell = {key: line for key, line in lines.items() if key[0] == cell}
            _draw(axes, of_cell, [one for one in lost if one.cell == cell], swept, marks, panel)
            if hollow:
                _draw(axes, of_cell, [], swept, marks, REPLAYED, markerfacecolor="white", linewidth=0.9)
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
        return finish(figure, panels[:1], path, formats)


def _one_scale(panels: Sequence[Axes]) -> None:
    share_ylim(panels)
    for axes in panels:
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
    kinds = by_kind(timings(results))
    several = [index for index in (1, 2) if len({kind[index] for kind in kinds}) > 1]
    written: list[Path] = []
    for kind, of_kind in kinds.items():
        if not any(one.ms is not None for one in of_kind):
            continue
        swept, stem = sweep(of_kind), "decoding" if kind[0] else "timing"
        end = file_name("".join(f"-{kind[index]}" for index in several)) + suffix
        if swept is not None and len({one.cell for one in of_kind}) < CROWD:
            written += lines_figure(of_kind, swept, folder / f"{stem}_against_{NAMES[swept.name]}{end}", formats)
        else:
            written += rows_figure(of_kind, swept, folder / f"{stem}_ranked{end}", formats)
        if swept is not None or not differing(of_kind):  # under one roof stands one size
            written += roofline(of_kind, folder / f"{stem}_roofline{end}", formats)
    return written


def by_kind(timed: Sequence[Timed]) -> dict[tuple[bool, str, str], list[Timed]]:
    """What may stand in one figure or be compared in a sentence: decoding or training, number format and device."""
    kinds: dict[tuple[bool, str, str], list[Timed]] = {}
    for one in timed:
        if one.backend is not None:
            key = (one.decoding, str(one.settings["dtype"]), str(one.settings["device"]))
            kinds.setdefault(key, []).append(one)
    return dict(sorted(kinds.items()))


class Roof(NamedTuple):
    """FLOP/s of a large product, and bytes/s of a large copy, both measured."""

    gemm: float
    copy: float

    def at(self, intensity: float) -> float:
        """The FLOP/s that so many FLOPs a byte allow."""
        return min(self.gemm, intensity * self.copy)


class Point(NamedTuple):
    """FLOPs a byte; FLOP/s; FLOP/s where replayed as a CUDA graph."""

    intensity: float
    reached: float
    replayed: float | None


def point(one: Timed) -> Point | None:
    """Where a contestant stands; None without its FLOPs and bytes."""
    flops, traffic = (one.numbers.get(f"{one.main}_{what}") for what in ("flops", "bytes"))
    if not flops or not traffic or one.ms is None:
        return None
    reached = flops * one.numbers["tokens_per_second"]
    replay = one.numbers.get(f"replay_{one.main}_ms")
    return Point(flops / traffic, reached, reached * one.ms / replay if replay else None)


def roofline(of_kind: Sequence[Timed], path: Path, formats: set[str]) -> list[Path]:
    """FLOP/s against FLOPs a byte at one size, a mark a contestant; hollow where replayed.

    Contestants of a cell stand side by side, though their FLOPs a byte are the same. Of many cells each cell's fastest
    contestant alone. No figure where ceilings or FLOPs were not measured.

    of_kind: of one device and number format, and so under one roof.
    """
    shown = [(one, at) for one in _fullest(of_kind) if (at := point(one)) is not None]
    roofs = [roof for one, _ in shown if (roof := _roof(one)) is not None]
    if not roofs:
        return []
    roof = Roof(*(statistics.median(values) for values in zip(*roofs, strict=True)))
    crowd = len({one.cell for one, _ in shown}) >= CROWD
    if crowd:
        fastest = {one.cell: (one, at) for one, at in sorted(shown, key=lambda pair: pair[1].reached)}
        shown = [(one, at._replace(replayed=None)) for one, at in fastest.values()]
    marks = Marks.of((one.cell, str(one.backend)) for one, _ in shown)
    with canvas(width=8.4, height=6.0 if crowd else 4.8) as (figure, (axes,)):
        _draw_roof(axes, roof, [at for _, at in shown])
        step = 1.0 if crowd else (axes.get_xlim()[1] / axes.get_xlim()[0]) ** 0.016
        drawn: list[tuple[float, float, str, str]] = []
        for one, at in shown:
            look = marks.line(one.cell, str(one.backend)) | {"linestyle": "none", "markersize": 8}
            beside = [name for name in marks.styles if (one.cell, name) in {(o.cell, str(o.backend)) for o, _ in shown}]
            x = at.intensity * step ** (beside.index(str(one.backend)) - (len(beside) - 1) / 2)
            if at.replayed is not None:
                axes.plot([x, x], [at.reached / 1e9, at.replayed / 1e9], color=look["color"], linewidth=0.8)
                axes.plot(x, at.replayed / 1e9, **look, markerfacecolor="white")
            axes.plot(x, at.reached / 1e9, **look)
            drawn += [(x, value / 1e9, "", "") for value in (at.reached, at.replayed) if value is not None]
        size = ", ".join(f"{SETTINGS[name]} {shown[0][0].settings[name]}" for name in SIZES[:3])
        axes.set(title=f"How near to what the device can do? {size}", ylabel="GFLOP/s reached")
        axes.set_xlabel("FLOPs of matrix products per byte that must be moved")
        marks.legend(axes, cells=False, lines=False)
        if any(at.replayed is not None for _, at in shown):
            axes.plot([], [], "o", color=GREY, markerfacecolor="white", label="replayed")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper")
        direct_labels(axes, [*_names(shown, marks), *drawn], 9 if crowd else 11)
        return save(figure, path, formats)


def _names(shown: Sequence[tuple[Timed, Point]], marks: Marks) -> list[tuple[float, float, str, str]]:
    """Each cell's name, at the highest of its contestants."""
    tops: dict[str, tuple[float, float]] = {}
    for one, at in shown:
        top = max(at.reached, at.replayed or 0.0) / 1e9
        tops[one.cell] = (at.intensity, max(top, tops.get(one.cell, (0.0, 0.0))[1]))
    return [(x, y, cell, marks.colors[cell]) for cell, (x, y) in tops.items()]


def _fullest(of_kind: Sequence[Timed]) -> list[Timed]:
    """All contestants of the size at which most were timed; of several such the one of the most tokens, the longest."""
    sizes: dict[tuple[int, ...], list[Timed]] = {}
    for one in of_kind:
        if one.ms is not None:
            sizes.setdefault(tuple(one.settings[name] for name in ("tokens", *SIZES)), []).append(one)
    return sizes[max(sizes, key=lambda size: (len(sizes[size]), size))] if sizes else []


def _roof(one: Timed) -> Roof | None:
    gemm, copy = (one.result.number(name) for name in ("gemm_flops_per_second", "copy_bytes_per_second"))
    return Roof(gemm, copy) if gemm and copy else None


def _draw_roof(axes: Axes, roof: Roof, points: Sequence[Point]) -> None:
    ridge = roof.gemm / roof.copy
    low = min(ridge, *(at.intensity for at in points)) / 2
    high = max(ridge, *(at.intensity for at in points)) * 2
    x = [low, ridge, high]
    axes.plot(x, [roof.at(value) / 1e9 for value in x], color=GREY, linewidth=2)
    axes.set_xscale("log", base=10)
    axes.set_xlim(low, high)
    plain_number(axes.xaxis)
    place: dict[str, Any] = {"textcoords": "offset points", "fontsize": 9, "color": GREY}
    product, copy = f"product {rate(roof.gemm, 'FLOP/s')}", f"copy {rate(roof.copy, 'B/s')}"
    axes.annotate(product, (high, roof.gemm / 1e9), (-4, 5), ha="right", va="bottom", **place)
    axes.annotate(copy, (low, roof.at(low) / 1e9), (4, -4), ha="left", va="top", **place)
    axes.set_yscale("log")
    reached = [value for at in points for value in (at.reached, at.replayed) if value is not None]
    axes.set_ylim(min(reached) / 2e9, roof.gemm * 2 / 1e9)
    plain_log_axis(axes)
