"""How far gradients reach: along the lag, along T, along the training; and what a longer context is worth."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from rnnbench.probes.curve import WORTH, falls_to
from rnnbench.probes.measured import mean_of_those_left
from rnnbench.report.figures.gradients import context_gains, mean_along
from rnnbench.report.figures.panels import SHOWN_DECADES, When, flows, longest, shown_decades
from rnnbench.report.figures.style import LENGTHS, looks
from rnnbench.report.page.plot import (
    Plot,
    Trace,
    axis,
    heat,
    reference,
    rows_axis,
    rows_height,
    safe,
    span,
    ticks,
    trace,
)  # fmt: skip
from rnnbench.report.page.text import kept, shorts
from rnnbench.report.statistics import Group, crowded
from rnnbench.report.tables.table import lag

WHEN: dict[When, str] = {"init": "at first", "final": "after training"}
#: Bits a symbol that are as good as none.
FLOOR = 1e-4
#: Heat maps over the training, at most.
ALONG = 6
LEFT = "log₁₀ G(k)/G(0)"


def gradient_plots(groups: Sequence[Group]) -> list[Plot | None]:
    """Everything about gradients that some groups of one data set have measured."""
    crowd = crowded(groups)
    plots = [_flow_map(groups, when) if crowd else _flow(groups, when) for when in WHEN]
    if len({g.length for g in groups}) > 1:
        plots += [_reach_map(groups, when) for when in WHEN] if crowd else [_reach(groups)]
    return [*plots, *_along(groups), None if crowd else _context(groups)]


def _title(groups: Sequence[Group], when: When) -> str:
    places = {g.place for g in longest(groups).values()}
    at = places.pop() if len(places) == 1 else f"each one's longest {groups[0].symbol}"
    return f"How far do gradients reach {WHEN[when]}? ({at})"


def _flow(groups: Sequence[Group], when: When) -> Plot | None:
    looking = looks([g.series for g in groups])
    data: list[Trace] = []
    lowest, highest = -1.0, 0.0
    for label, g in longest(groups).items():
        curves = flows(g, when)
        if curves is None:
            continue
        few = kept(curves.shape[1])
        curves = curves[:, few]
        lowest, highest = min(lowest, float(curves.min())), max(highest, float(curves.max()))
        data.append(trace(label, few.tolist(), mean_of_those_left(curves), looking[label], "lines"))
        if len(curves) > 1:
            color = looking[label].color
            data.append(span(label, few.tolist(), curves.min(0).tolist(), curves.max(0).tolist(), color))
    shown = list(shown_decades(lowest, highest))
    note = "G(k): the norm of the last loss's gradient k states back. Shaded: from the lowest to the highest seed."
    plot = Plot(_title(groups, when), tuple(data), axis("lag k (states back)"), axis(LEFT, range=shown), note)
    return plot if data else None


def _flow_map(groups: Sequence[Group], when: When) -> Plot | None:
    """Of many cells: a row each, a colour for how much is left."""
    curves = {label: flows(g, when) for label, g in longest(groups).items()}
    means = {label: mean_of_those_left(stacked) for label, stacked in curves.items() if stacked is not None}
    if not means:
        return None
    few = kept(max(map(len, means.values())))
    names = sorted(means, key=lambda name: falls_to(math.log(10) * means[name], 0.01), reverse=True)
    rows = [[means[name][lag] if lag < len(means[name]) else math.nan for lag in few] for name in names]
    colors = heat(few.tolist(), list(range(len(rows))), rows, LEFT, zmin=-SHOWN_DECADES, zmax=2)
    colors |= {"text": [safe(name) for name in names], "hovertemplate": "lag %{x}: %{z}<extra></extra>"}
    x, y, note = axis("lag k (states back)"), rows_axis(names), "Those that reach farthest come first."
    return Plot(_title(groups, when), (colors,), x, y, note, height=rows_height(names))


def _top(groups: Sequence[Group], lags: Iterable[float | None]) -> float | None:
    """Where a lag beyond those measured stands: at the last one, or twice the longest known; None without any."""
    known = [value for value in lags if value is not None and 0 < value < math.inf]
    last = max((value for g in groups if (value := g.median("init/lags")) is not None), default=math.inf)
    return min(last, 2 * max(known)) if known else None


def _lag_text(g: Group, when: When) -> str:
    """The median lag; of one beyond those that were measured of this group, their last."""
    value = g.median(f"{when}/hundredth_lag")
    return "" if value is None else lag(value, g.median(f"{when}/lags"))


def _reach(groups: Sequence[Group]) -> Plot | None:
    """Against the length: hollow at initialisation, full after training; at the last lag what is beyond it."""
    values = {(g.series, g.length, when): g.median(f"{when}/hundredth_lag") for g in groups for when in WHEN}
    texts = {(g.series, g.length, when): _lag_text(g, when) for g in groups for when in WHEN}
    if (top := _top(groups, values.values())) is None:
        return None
    symbol = groups[0].symbol
    data: list[Trace] = []
    for label, look in looks([g.series for g in groups]).items():
        for when in WHEN:
            points = [(T, v) for (series, T, at), v in values.items() if (series, at) == (label, when) and v]
            line = trace(label, [T for T, _ in points], [min(v, top) for _, v in points], look)
            line |= {"customdata": [texts[label, T, when] for T, _ in points]}
            line |= {"hovertemplate": f"lag %{{customdata}} {WHEN[when]}, {symbol} = %{{x}}"}
            if when == "init":
                hollow = {"symbol": line["marker"]["symbol"] + "-open"}
                line |= {"mode": "markers", "marker": line["marker"] | hollow, "showlegend": False}
            data += [line] if points else []
    lengths = sorted({g.length for g in groups})
    data.append(reference(f"lag = {symbol}", lengths, lengths))
    beyond = any(value is not None and math.isinf(value) for value in values.values())
    note = "Medians over seeds; hollow: at initialisation."
    note += f" At {top:.3g} stands what is not within the lags measured." * beyond
    title = "Do gradients reach as far as they were propagated in training?"
    up = axis("lag at which the gradient is down to 1/100", type="log")
    return Plot(title, tuple(data), ticks(LENGTHS[symbol], lengths), up, note)


def _reach_map(groups: Sequence[Group], when: When) -> Plot | None:
    """Of many cells: a row each, a column for each length."""
    names, lengths = list(longest(groups)), sorted({g.length for g in groups})
    values = {(g.series, g.length): g.median(f"{when}/hundredth_lag") for g in groups}
    if (top := _top(groups, values.values())) is None:
        return None
    names.sort(key=lambda name: -max((value or 0.0 for (series, _), value in values.items() if series == name)))
    lags = [[values.get((name, length)) for length in lengths] for name in names]
    rows = [[math.log10(min(v, top)) if v else math.nan for v in row] for row in lags]
    colors = heat(
        [f"{groups[0].symbol} = {length}" for length in lengths], list(range(len(names))), rows, "log₁₀ of the lag"
    )
    texts = {(g.series, g.length): _lag_text(g, when) for g in groups}
    colors["text"] = [[texts.get((name, length), "") for length in lengths] for name in names]
    colors |= {"texttemplate": "%{text}", "hovertemplate": "1/100 at lag %{text}, %{x}"}
    title = f"The lag at which the gradient is down to 1/100, {WHEN[when]}"
    x, y = axis("", type="category"), rows_axis(names)
    return Plot(title, (colors,), x, y, "Medians over seeds.", rows_height(names))


def _along(groups: Sequence[Group]) -> list[Plot | None]:
    """Lag × training step, for the first few series that were probed on their way."""
    out: list[Plot | None] = []
    for g in longest(groups).values():
        along = mean_along(g.done)
        if along is None or len(out) == ALONG:
            continue
        steps, flow = along
        lags, times = kept(flow.shape[1], 64), kept(len(steps), 48)
        rows = flow[times][:, lags].T.tolist()
        colors = heat(steps[times].tolist(), lags.tolist(), rows, LEFT, zmin=-SHOWN_DECADES, zmax=2)
        colors["hovertemplate"] = "step %{x}, lag %{y}: %{z}<extra></extra>"
        title = f"How does training change its reach? {g.series}, {g.place}"
        out.append(Plot(title, (colors,), axis("training step"), axis("lag k (states back)"), "The mean over seeds."))
    return out


def _context(groups: Sequence[Group]) -> Plot | None:
    """What a longer context still saves, in bits a symbol."""
    looking = looks([g.series for g in groups])
    data: list[Trace] = []
    least, most = math.inf, 1.0
    for label, g in longest(groups).items():
        if (gains := context_gains(g)) is None:
            continue
        lengths, stacked = gains
        few = kept(len(lengths))
        x = lengths[few].tolist()
        least, most = min(least, *x), max(most, *x)
        data.append(trace(label, shorts(x), np.maximum(stacked[:, few].mean(0), FLOOR), looking[label], "lines"))
    if not data:
        return None
    data.append(reference(f"{WORTH} bits", [least, most], [WORTH, WORTH]))
    powers = [2.0**k for k in range(int(math.log2(max(most, 1))) + 1)]
    x_axis = axis("context m (symbols since the state was zeroed)", type="log", tickvals=powers)
    x_axis["ticktext"] = [f"{power:g}" for power in powers]
    note = f"bpc(m) − bpc(longest context), position by position; what is below {FLOOR:g} is drawn there."
    return Plot("What is a longer context worth?", tuple(data), x_axis, axis("bits a symbol", type="log"), note)
