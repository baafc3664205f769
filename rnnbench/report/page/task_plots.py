"""Many tasks beside what a baseline would get; and the longest T that each cell can learn over."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rnnbench.report.figures.style import GREY, Look, looks
from rnnbench.report.figures.tasks import EDGE, TICKS
from rnnbench.report.page.plot import SYMBOLS, Plot, Trace, axis, reference, rows_axis, rows_height, safe, trace
from rnnbench.report.page.text import short
from rnnbench.report.tables.solvable import Solvable, predicts
from rnnbench.report.tables.table import lag
from rnnbench.report.tables.tasks import TaskResult
from rnnbench.report.tables.tasks import short as in_short

#: Where the names of neighbouring points stand, in turn.
SIDES = ("top center", "bottom center", "middle right", "top left", "bottom right")


def tasks_plot(tasks: Sequence[TaskResult]) -> list[Plot]:
    """A row a task: each cell's score and the stronger lines, as ratios to the baseline on a root scale."""
    measured = [task for task in tasks if task.baseline and task.baseline[1] > 0]
    if not measured:
        return []
    data: list[Trace] = []
    for label, look in looks([g.series for task in measured for g in task.groups]).items():
        points = [(row, task, e.mean) for row, task in enumerate(measured) for g in task.groups
                  if g.series == label and (e := g.estimate(task.kind.primary.key)) is not None]  # fmt: skip
        data.append(_ratios(label, look, [(row, task, value, "") for row, task, value in points]))
    lines = [(row, task, value, f"{in_short(name)} ") for row, task in enumerate(measured)
             for name, value in task.lines.items() if task.baseline and name != task.baseline[0]]  # fmt: skip
    stronger = _ratios("other reference lines", Look(GREY, "x", "-"), lines)
    stronger["marker"] = {"symbol": "line-ns-open", "size": 11, "color": GREY, "line": {"width": 2}}
    data += [stronger, reference("baseline", [1, 1], [-0.5, len(measured) - 0.5])]
    names = [task.label for task in measured]
    x = axis("test score over the baseline's, root scale (0: perfect)", range=[-0.03, math.sqrt(EDGE) + 0.02])
    x |= {"tickvals": [math.sqrt(tick) for tick in TICKS], "ticktext": [f"{tick:g}" for tick in TICKS]}
    note = f"The baseline: the best of those that know nothing of the inputs. Beyond {EDGE} all stand at the edge."
    title = "What has been learnt beyond a baseline's answer?"
    return [Plot(title, tuple(data), x, rows_axis(names), note, rows_height(names), wide=True)]


def _ratios(name: str, look: Look, points: Sequence[tuple[int, TaskResult, float, str]]) -> Trace:
    known = [(row, task, value, who) for row, task, value, who in points if task.baseline and math.isfinite(value)]
    ratios = [math.sqrt(min(max(value / task.baseline[1], 0.0), EDGE)) for _, task, value, _ in known if task.baseline]
    out = trace(name, [short(ratio, 4) for ratio in ratios], [row for row, *_ in known], look, "markers")
    words = [f"{task.label}: {who}{value:.4g} {task.kind.primary.metric}" for _, task, value, who in known]
    out["customdata"] = list(map(safe, words))
    return out | {"hovertemplate": "%{customdata}"}


def solvable_plots(searches: Sequence[Solvable]) -> list[Plot]:
    """Of each task: the longest T solved, a row a cell; and whether the gradient's first reach predicts it."""
    plots = []
    for data, correlation in predicts(searches).items():
        on_task = [one for one in searches if one.data == data]
        plots.append(_longest(data, on_task))
        known = [one for one in on_task if one.reach and not one.broken]
        if len(known) > 1:
            plots.append(_predicted(data, known, correlation.text()))
    return plots


def _longest(data: str, on_task: Sequence[Solvable]) -> Plot:
    """From the last T solved to the first failed; a triangle where nothing failed, or nothing was solved."""
    names = [one.cell for one in on_task]
    styles = looks(names)
    drawn: list[Trace] = []
    for row, one in enumerate(on_task):
        look = styles[one.cell]
        ends = [float(end) for end in (one.bracket.solved, one.bracket.failed) if end is not None]
        line = trace(one.cell, ends, [row] * len(ends), look)
        open_end = "triangle-right" if one.bracket.failed is None else "triangle-left"
        symbols = ["circle", "circle-open"] if len(ends) == 2 else [open_end]
        line |= {"marker": {"color": look.color, "size": 9, "symbol": symbols}, "showlegend": False}
        line |= {"hovertemplate": f"{safe(one.cell)}: {safe(one.longest)}<extra></extra>"}
        drawn.append(line)
    note = "Full: the longest T solved; hollow: the shortest failed; ▶: all tried were solved; ◀: none was."
    title = f"Over how many steps can it learn {safe(data.replace('_', ' '))}?"
    return Plot(title, tuple(drawn), axis("T", type="log"), rows_axis(names), note, rows_height(names))


def _predicted(data: str, known: Sequence[Solvable], words: str) -> Plot:
    edge = max(one.lags or 1.0 for one in known)
    drawn: list[Trace] = []
    order = sorted(known, key=lambda one: (one.bracket.middle, one.reach or 0.0))
    sides = {one.cell: SIDES[at % len(SIDES)] for at, one in enumerate(order)}
    for cell, look in looks([one.cell for one in known]).items():
        of_cell = [one for one in known if one.cell == cell]
        x, y = [short(min(one.reach or edge, edge), 4) for one in of_cell], [one.bracket.middle for one in of_cell]
        point = trace(cell, x, y, look, "markers+text")
        point |= {"text": [safe(cell)] * len(of_cell), "textposition": sides[cell], "showlegend": False}
        point |= {"textfont": {"size": 10}, "cliponaxis": False}
        point["marker"] = {"color": look.color, "size": 9, "symbol": SYMBOLS.get(look.marker, "circle")}
        hover = [f"{safe(one.longest)}, 1/100 at lag {lag(one.reach, one.lags)}" for one in of_cell]
        point["hovertemplate"] = [f"{safe(cell)}: {words}<extra></extra>" for words in hover]
        drawn.append(point)
    title = f"Does the gradient's reach before training predict it? {safe(data.replace('_', ' '))}"
    beyond = any(math.isinf(one.reach or 0.0) for one in known)
    note = f"{words}." + (f" What is beyond the lags measured stands at {edge:.3g}." if beyond else "")
    across = axis("lag at which the gradient is down to 1/100, untrained", type="log")
    return Plot(title, tuple(drawn), across, axis("longest solvable T", type="log"), note)
