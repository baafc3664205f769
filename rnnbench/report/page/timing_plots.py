"""Timings: a training step, its throughput and memory, or a token's latency, along what a study sweeps."""

from __future__ import annotations

from collections.abc import Sequence

from rnnbench.report.figures.contestants import Marks, backend_color
from rnnbench.report.figures.style import Look
from rnnbench.report.figures.timing import AXES, LATENCY, MEMORY, REPLAYED, SPEED, Measure, by_kind
from rnnbench.report.page.plot import Plot, Trace, axis, rows_axis, rows_height, safe, ticks, trace
from rnnbench.report.statistics import CROWD, cell_rank
from rnnbench.report.timings import SETTINGS, SweptSetting, Timed, differing, in_words, sweep

STEP: Measure = (lambda one: one.ms, "How long does a training step take?", "milliseconds a step")
#: More lines than this need the page's whole width.
TANGLE = 12


def timed_kinds(timings: Sequence[Timed]) -> dict[tuple[bool, str, str], list[Timed]]:
    """`by_kind`, without those of which nothing was timed."""
    return {kind: timed for kind, timed in by_kind(timings).items() if any(one.ms is not None for one in timed)}


def timing_plots(timings: Sequence[Timed]) -> list[Plot]:
    """A set for each device and number format, along what is swept, or row by row where there are many cells."""
    kinds = timed_kinds(timings)
    several = len({key[1:] for key in kinds}) > 1
    plots: list[Plot] = []
    for (decoding, dtype, device), timed in kinds.items():
        swept = sweep(timed)
        end = f" ({dtype}, {device})" if several else ""
        for panel in (LATENCY, REPLAYED) if decoding else (STEP, SPEED, MEMORY):
            known = [one for one in timed if one.ms is not None and panel[0](one)]
            if not known:
                continue
            if swept is not None and len({one.cell for one in known}) < CROWD:
                plots.append(_lines(known, timed, swept, panel, end))
            else:
                plots.append(_rows(known, swept, panel, end))
    return plots


def _lines(known: Sequence[Timed], timed: Sequence[Timed], swept: SweptSetting, panel: Measure, end: str) -> Plot:
    """A line a cell and contestant: the cell's colour, the contestant's marker and line style."""
    number, question, unit = panel
    lines = swept.lines(known)
    marks = Marks.of(lines)
    data: list[Trace] = []
    for (cell, contestant), line in lines.items():
        marker, style = marks.styles[contestant]
        values = [number(one) or 0.0 for one in line]
        look = Look(marks.colors[cell], marker, style)
        data.append(trace(f"{cell} · {contestant}", [swept.of(one) for one in line], values, look))
    out = [f"{one.cell} · {swept.contestant(one)} at {swept.of(one)}" for one in timed if one.out_of_memory]
    note = f"Out of memory: {', '.join(out)}." if out and panel is not SPEED else ""
    title = AXES[swept.name] + (", B·T constant" if swept.constant_tokens else "")
    x = ticks(title, [float(value) for value in swept.values])
    return Plot(f"{question}{end}", tuple(data), x, axis(unit, type="log"), note, wide=len(lines) > TANGLE)


def _rows(known: Sequence[Timed], swept: SweptSetting | None, panel: Measure, end: str) -> Plot:
    """A row a cell (at the largest size of a sweep) or a cell and shape, a mark a contestant."""
    number, question, unit = panel
    settings = [] if swept is not None else differing(known)
    at = ""
    if swept is not None:
        largest = max(swept.of(one) for one in known)
        known = [one for one in known if swept.of(one) == largest]
        at = f" {SETTINGS[swept.name]} = {largest}"
    labels = {id(one): _label(one, settings) for one in known}
    names = list(dict.fromkeys(labels[id(one)] for one in sorted(known, key=lambda one: cell_rank(one.cell))))
    contestants = {id(one): str(one.backend) if swept is None else swept.contestant(one) for one in known}
    data: list[Trace] = []
    for contestant, (marker, _) in Marks.of((one.cell, contestants[id(one)]) for one in known).styles.items():
        marked = [one for one in known if contestants[id(one)] == contestant]
        rows = [names.index(labels[id(one)]) for one in marked]
        marks = trace(contestant, [], rows, Look(backend_color(contestant), marker, "-"), "markers")
        marks["x"] = [float(f"{number(one) or 0.0:.4g}") for one in marked]
        marks["customdata"] = [safe(labels[id(one)]) for one in marked]
        marks["hovertemplate"] = "%{customdata}: %{x}"
        data.append(marks)
    across, height = axis(unit, type="log"), rows_height(names)
    return Plot(f"{question}{at}{end}", tuple(data), across, rows_axis(names), height=height)


def _label(one: Timed, settings: Sequence[str]) -> str:
    values = ((name, one.settings[name]) for name in settings)
    return ", ".join([one.cell, *(f"{SETTINGS[name]} {in_words(name, value)}" for name, value in values)])
