"""Curves of `rnnbench gradients`, how training changes them, what a longer context is worth, and how a state warms up.

Functions of a study's groups return the files that they write; none where the runs lack what is shown.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rnnbench.intervals import known_median
from rnnbench.probes.curve import WORTH
from rnnbench.probes.heat_map import LABEL, flow_heat_map, lag_axis
from rnnbench.probes.measured import Measured, decades, mean_decades, mean_of_those_left
from rnnbench.report.figures.panels import LEFT, longest, shown_decades, spread
from rnnbench.report.figures.style import (
    GREY,
    REFERENCE,
    canvas,
    finish,
    log2_axis,
    looks,
    plain_log_axis,
    save,
    title_and_note,
)
from rnnbench.report.results import Result
from rnnbench.report.statistics import Group
from rnnbench.report.tables.table import lag

Floats = NDArray[np.float64]

#: The reach in the rows of a history.
PROBED = "probe/hundredth_lag"
#: Panels of heat maps in one figure at the most, and in a line of it.
PANELS, COLUMNS = 6, 3


def curves_figure(rows: Sequence[Measured], path: Path, caption: str) -> list[Path]:
    """log₁₀ G(k)/G(0) of each row over lag, the lag axis logarithmic from 1 on, seeds as a band.

    Of a run's two rows the one at initialisation is dashed. path: ends in .svg or .png. caption: above the curves.
    """
    looking = looks([row.cell if _of_a_run(row) else row.name for row in rows])
    with canvas(width=8.0, height=4.3 + 0.18 * len(rows)) as (figure, (axes,)):
        lowest, highest = -1.0, 0.0
        for row in rows:
            look = looking[row.cell if _of_a_run(row) else row.name]
            if _of_a_run(row):
                look = dataclasses.replace(look, linestyle="-" if row.condition == "trained" else "--")
            mean = mean_decades(row.curves)
            each = np.stack([decades(curve[: len(mean)]) for curve in row.curves])
            lowest, highest = min(lowest, float(each.min())), max(highest, float(each.max()))
            verdict = f", {row.judgement.verdict}" if row.judgement is not None else ""
            label = f"{row.name}: 1/100 at {lag(row.median('hundredth_lag'), row.median('lags'))}{verdict}"
            axes.plot(np.arange(len(mean)), mean, color=look.color, linestyle=look.linestyle, label=label)
            spread(axes, np.arange(len(mean), dtype=np.float64), each, look)
        lag_axis(axes, max(row.seq_len for row in rows))
        axes.set_ylim(*shown_decades(lowest, highest))
        title_and_note(axes, "How much of the gradient is left k states back?", caption, 125)
        axes.set_ylabel(LEFT)
        return finish(figure, [axes], path, {path.suffix[1:]})


def _of_a_run(row: Measured) -> bool:
    return row.condition in ("initial", "trained")


def context_gain(groups: Sequence[Group], path: Path, formats: set[str]) -> list[Path]:
    """What a longer context still saves, in bits a symbol, over context length: a line a cell, at its longest T."""
    looking = looks([g.series for g in groups])
    with canvas() as (figure, (axes,)):
        drawn = False
        for label, g in longest(groups).items():
            if (gains := context_gains(g)) is None:
                continue
            drawn = True
            lengths, stacked = gains
            axes.plot(lengths, stacked.mean(0), **looking[label].line() | {"marker": ""}, label=label)
            spread(axes, lengths, stacked, looking[label])
        if not drawn:
            return []
        axes.axhline(WORTH, **REFERENCE, label=f"{WORTH} bits")
        log2_axis(axes)
        axes.set_yscale("symlog", linthresh=0.01)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_ylim(bottom=-0.01)
        axes.set(title="What is a longer context worth?", ylabel="bpc(m) − bpc(longest)")
        axes.set_xlabel("context m (symbols since the state was zeroed)")
        return finish(figure, [axes], path, formats)


def context_gains(g: Group) -> tuple[Floats, Floats] | None:
    """Context lengths (M,), and what each still saves, (seeds, M), of the seeds measured at the first one's lengths."""
    curves = [(r.curve("final/context_lengths"), r.curve("final/context_gain")) for r in g.done]
    known = [(lengths, gain) for lengths, gain in curves if lengths is not None and gain is not None]
    if not known:
        return None
    return known[0][0], np.stack([gain for lengths, gain in known if np.array_equal(lengths, known[0][0])])


def flow_along(groups: Sequence[Group], path: Path, formats: set[str]) -> list[Path]:
    """Heat maps lag × training step of log₁₀ G(k)/G(0), the mean over seeds: a panel a line, at its longest T."""
    pictures = [(g, picture) for g in longest(groups).values() if (picture := mean_along(g.done)) is not None][:PANELS]
    if not pictures:
        return []
    rows = math.ceil(len(pictures) / COLUMNS)
    width = max(4.2 * min(len(pictures), COLUMNS), 6.4)
    with canvas(len(pictures), width=width, height=3.6 * rows + 0.2, rows=rows) as (figure, panels):
        for axes, (g, (steps, flow)) in zip(panels, pictures, strict=True):
            mesh = flow_heat_map(axes, steps, flow)
            axes.set_title(f"{g.series}, {g.place}")
            axes.set_ylabel("")
        for axes in panels[:: math.ceil(len(pictures) / rows)]:
            axes.set_ylabel("lag k (states back)")
        figure.colorbar(mesh, ax=panels, label=LABEL, fraction=0.05, pad=0.02, aspect=30)
        return save(figure, path, formats)


def reach_along(groups: Sequence[Group], path: Path, formats: set[str]) -> list[Path]:
    """The lag at which the gradient is down to 1/100 against the training step: the median over seeds, thin each.

    At each line's longest length. A lag beyond those measured stands at the upper edge, marked as such.
    """
    with canvas(width=7.6, height=4.6) as (figure, (axes,)):
        looking = looks([g.series for g in groups])
        lines = {label: _reaches(g.done) for label, g in longest(groups).items()}
        finite = [value for seeds in lines.values() for _, y in seeds for value in y if math.isfinite(value)]
        if not finite:
            return []
        lasts = [value for g in groups if (value := g.median("init/lags")) is not None]
        endless = max(lasts, default=2 * max(finite))  # where one beyond the lags measured is drawn
        for label, seeds in lines.items():
            look = looking[label]
            for x, y in seeds:
                axes.plot(x, np.minimum(y, endless), color=look.color, linewidth=0.7, alpha=0.45)
            if seeds:
                x = seeds[0][0]  # of the others those that were probed at the same steps
                alike = [lags for steps, lags in seeds if np.array_equal(steps, x)]
                y = np.array([known_median(lags) for lags in zip(*alike, strict=True)])
                axes.plot(x, np.minimum(y, endless), color=look.color, linestyle=look.linestyle, label=label)
        plain_log_axis(axes)
        if any(math.isinf(value) for seeds in lines.values() for _, y in seeds for value in y):
            axes.axhline(endless, **REFERENCE, label="not within the lags measured")
        places = dict.fromkeys(g.place for g in longest(groups).values())
        axes.set_title(f"Do gradients reach farther as training goes on? {', '.join(places)}")
        axes.set(xlabel="training step", ylabel="lag at which the gradient is down to 1/100")
        return finish(figure, [axes], path, formats)


def _reaches(results: Sequence[Result]) -> list[tuple[Floats, Floats]]:
    """(steps, lags) of each run that was probed along its way, its two ends included."""
    out = []
    for result in results:
        lags = {row["step"]: row[PROBED] for row in result.history() if PROBED in row}
        steps = result.curve("along/step")
        if not lags or steps is None:
            continue
        ends = (result.number("init/hundredth_lag"), result.number("final/hundredth_lag"))
        lags |= {int(steps[0]): ends[0], int(steps[-1]): ends[1]}
        points = np.array([(step, lags[step]) for step in sorted(lags) if isinstance(lags[step], int | float)])
        out.append((points[:, 0], points[:, 1]))
    return out


def mean_along(results: Sequence[Result]) -> tuple[Floats, Floats] | None:
    """Steps (P,) and the mean over seeds of log₁₀ G(k)/G(0), (P, K); None where no run was probed along its way.

    At each step and lag it is over the seeds that have a gradient there, −∞ where none has.
    """
    pictures: list[Floats] = []
    first: Floats | None = None
    for result in results:
        steps, flow = result.curve("along/step"), result.curve("along/gradient_flow")
        if steps is None or flow is None or len(steps) < 2:
            continue
        first = steps if first is None else first
        if np.array_equal(steps, first) and (not pictures or flow.shape == pictures[0].shape):
            begins = np.isfinite(flow[:, :1])  # else there is no gradient at all
            pictures.append(np.where(begins, flow - np.where(begins, flow[:, :1], 0.0), -np.inf) / math.log(10))
    return None if first is None else (first, mean_of_those_left(np.stack(pictures)))


#: The curves: mean nats at each position, and its targets.
NLL, SIZES = "test/nll_by_position", "test/nll_position_sizes"


def position_perplexity(groups: Sequence[Group], path: Path, formats: set[str]) -> list[Path]:
    """ppl(p) over p on a log₂ axis, a line a cell at its longest T; dotted: what it comes to if the state is carried.

    Positions are pooled by half octaves: at one position alone the test text has few targets.
    """
    looking = looks([g.series for g in groups])
    with canvas() as (figure, (axes,)):
        drawn, carried = False, False
        for label, g in longest(groups).items():
            each = [pooled(nll, sizes) for nll, sizes in zip(g.curves(NLL), g.curves(SIZES), strict=False)]
            if not each:
                continue
            at, stacked = each[0][0], np.stack([np.exp(nll) for p, nll in each if np.array_equal(p, each[0][0])])
            look, drawn = looking[label], True
            axes.plot(at, stacked.mean(0), **look.line(), markersize=5, label=f"{label}, {g.place}")
            spread(axes, at, stacked, look)
            if (perplexity := g.estimate("test/perplexity")) is not None and math.isfinite(perplexity.mean):
                axes.axhline(perplexity.mean, color=look.color, linestyle=":", linewidth=1.2)
                carried = True
        if not drawn:
            return []
        if carried:
            axes.plot([], [], color=GREY, linestyle=":", linewidth=1.2, label="state carried on")
        log2_axis(axes)
        plain_log_axis(axes)
        axes.set(title="How many symbols does it need to warm up?", ylabel="test perplexity at p")
        axes.set_xlabel("symbols p read since the state was zeroed")
        return finish(figure, [axes], path, formats)


def pooled(nll: Floats, sizes: Floats) -> tuple[Floats, Floats]:
    """Positions 1 … T by half octaves, [1], [2], [3], [4, 5], [6, 7], [8 … 11], …; a short last pool joins another.

    Of mean nats at each position, (T,), and how many targets that is the mean of, (T,), to the mean position of each
    pool and its mean nats, both weighted by targets.
    """
    p = np.arange(1.0, len(nll) + 1)
    octave = np.floor(np.log2(p))
    _, starts = np.unique(2 * octave + (p >= 1.5 * 2**octave), return_index=True)
    ends = np.append(starts, len(p))
    if len(starts) > 1 and 2 * (ends[-1] - ends[-2]) < ends[-2] - ends[-3]:
        starts = starts[:-1]
    weight = np.add.reduceat(sizes, starts)
    return np.add.reduceat(p * sizes, starts) / weight, np.add.reduceat(nll * sizes, starts) / weight
