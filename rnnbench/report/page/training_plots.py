"""Training runs: score, speed and memory along T or row by row, quality against speed, and how the score came about."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from rnnbench.report.comparisons import unranked_anywhere
from rnnbench.report.figures.panels import estimates, question, reference_by_length, spread_evenly, validations
from rnnbench.report.figures.pareto import TITLE, UNRANKED, best_choices, compared, timing_source
from rnnbench.report.figures.style import FIXED, GREY, LENGTHS, OTHERS, Look, looks
from rnnbench.report.page.gradient_plots import gradient_plots
from rnnbench.report.page.plot import (
    Plot,
    Trace,
    axis,
    error_bars,
    joined,
    lost_note,
    reference,
    rows_axis,
    rows_height,
    safe,
    sentence,
    span,
    ticks,
    trace,
)
from rnnbench.report.page.text import kept, shorts
from rnnbench.report.results import Result
from rnnbench.report.significance import Estimate
from rnnbench.report.statistics import CROWD, SEQ_LEN, Group, cell_rank, crowded, group, rank
from rnnbench.report.task_families import TASK_FAMILIES, TaskFamily
from rnnbench.report.timings import Timed

SPEED, MEMORY = "throughput/tokens_per_second", "memory/peak_mib"
#: Learning curves are drawn at so many lengths at the most.
LEARNT = 4


def training_plots(kind: str, results: Sequence[Result], timed: Sequence[Timed], axis: str = SEQ_LEN) -> list[Plot]:
    """All figures of one kind of task on one data set: lines over T or K, or, of many cells or one length, a row each.

    timed: all timings at hand, for quality against speed.
    """
    groups = group(results, axis)
    primary = TASK_FAMILIES[kind]
    if crowded(groups) or len({g.length for g in groups}) == 1:
        plots = ranking_plots(primary, groups)
    else:
        plots = [
            _score(primary, groups),
            _over_length(groups, SPEED, "How fast does it train?", "tokens per second"),
            _over_length(groups, MEMORY, "How much memory does it take?", "peak memory (MiB)"),
        ]
    plots += gradient_plots(groups)
    plots += [pareto(primary, groups, timed)]
    plots += [] if crowded(groups) else _learning(primary, groups)
    return [plot for plot in plots if plot is not None and plot.data]


def _score(kind: TaskFamily, groups: Sequence[Group]) -> Plot | None:
    """The primary against T, with its reference lines where they are not far off."""
    plot = _over_length(groups, kind.primary.key, question(groups), kind.unit)
    if plot is None:
        return None
    scores = [value for g in groups for value in g.values(kind.primary.key) if math.isfinite(value)]
    low, high = min(scores), max(scores)
    reach = 1.5 * max(high - low, 0.05 * abs(high))
    lines: list[Trace] = []
    far: list[str] = []
    for name, label in kind.drawn.items():
        by_length = dict(sorted(reference_by_length(groups, f"reference/{name}_{kind.primary.metric}").items()))
        values = list(by_length.values())
        if values and low - reach <= min(values) and max(values) <= high + reach:
            lines.append(reference(label, list(by_length), values, len(lines)))
        elif values:
            far.append(f"{label} ({values[-1]:.3g})")
    return _with_references(plot, groups, lines, far)


def _with_references(plot: Plot, groups: Sequence[Group], lines: Sequence[Trace], far: Sequence[str]) -> Plot:
    """The lines that are near the scores; the others, and runs that were lost, in the note."""
    note = joined(plot.note, f"Off the scale: {', '.join(far)}." if far else "", lost_note(groups))
    return replace(plot, data=(*plot.data, *lines), note=note)


def _over_length(groups: Sequence[Group], metric: str, title: str, unit: str) -> Plot | None:
    """A metric against T: means with 95 % intervals, or each seed's point."""
    data: list[Trace] = []
    lengths: set[int] = set()
    looking = looks([g.series for g in groups])
    for label, look in looking.items():
        if means := estimates([g for g in groups if g.series == label], metric):
            lengths |= {length for length, _ in means}
            data += _means(label, look, means)
    if not data:
        return None
    return Plot(title, tuple(data), ticks(LENGTHS[groups[0].symbol], list(lengths)), axis(unit), _bars(groups, metric))


def _means(label: str, look: Look, means: Sequence[tuple[int, Estimate]]) -> list[Trace]:
    """A line through means, with error bars where there are intervals, and a faint point a seed."""
    line = trace(label, [x for x, _ in means], [e.mean for _, e in means], look)
    if bars := error_bars([e for _, e in means], look, 1.5, 4):
        line["error_y"] = bars
    points = [(x, value) for x, e in means if len(e.values) > 1 for value in e.values]
    seeds = trace(label, [x for x, _ in points], [y for _, y in points], look, "markers")
    seeds |= {"showlegend": False, "opacity": 0.45, "hovertemplate": "one seed: %{y}<extra></extra>"}
    seeds["marker"] = {"color": look.color, "size": 5}
    return [line, seeds] if points else [line]


def _bars(groups: Sequence[Group], metric: str) -> str:
    estimated = [e for g in groups if (e := g.estimate(metric)) is not None]
    if any(e.interval for e in estimated):
        return "Mean over seeds with its 95 % Student-t interval; small dots: each seed."
    return "Mean over seeds; small dots: each seed." if any(len(e.values) > 1 for e in estimated) else ""


def _learning(kind: TaskFamily, groups: Sequence[Group]) -> list[Plot | None]:
    """Validation scores against tokens, a figure for each of some lengths."""
    lengths = sorted({g.length for g in groups})
    looking = looks([g.series for g in groups])
    chosen = spread_evenly(lengths, LEARNT)
    return [_learning_at(kind, [g for g in groups if g.length == length], looking) for length in chosen]


def _learning_at(kind: TaskFamily, groups: Sequence[Group], looking: dict[str, Look]) -> Plot | None:
    data: list[Trace] = []
    seeds = 0
    for g in groups:
        if (curve := validations(g.done, f"val/{kind.primary.metric}")) is None:
            continue
        few = kept(len(curve[0]))
        tokens, scores = shorts(curve[0][few] / 1e6), curve[1][:, few]
        seeds = max(seeds, len(scores))
        data.append(trace(g.series, tokens, scores.mean(0), looking[g.series]))
        data[-1]["marker"]["size"] = 6
        if len(scores) > 1:
            color = looking[g.series].color
            data.append(span(g.series, tokens, scores.min(0).tolist(), scores.max(0).tolist(), color))
    title = f"How does it learn at {groups[0].place}?"
    note = "Shaded: from the lowest to the highest seed." if seeds > 1 else ""
    unit = kind.unit.replace("test", "validation")
    return Plot(title, tuple(data), axis("tokens seen (million)"), axis(unit), note) if data else None


#: Scores that span so many times the best one need a logarithmic axis.
WIDE_SCORES = 20


def pareto(kind: TaskFamily, groups: Sequence[Group], timed: Sequence[Timed]) -> Plot | None:
    """The score against tokens a second; one cell's lengths are joined. None where more than cells and T is compared.

    timed: timings at hand, which are better than what the runs measured of themselves.
    """
    candidates = compared(groups, timed, kind.primary.key)
    if not candidates:
        return None
    best, reason = best_choices(candidates)
    x, y = [candidates[i].speed for i in best], [candidates[i].score.mean for i in best]
    front = trace("beaten by none in both", x, y, Look(GREY, "o", "-"), "lines")
    front |= {"line": {"color": GREY, "width": 7, "shape": "hv"}, "opacity": 0.35}
    data: list[Trace] = [front] if best else []
    named = len({one.group.cell for one in candidates}) >= CROWD
    for cell, look in looks([one.group.cell for one in candidates]).items():
        of_cell = [one for one in candidates if one.group.cell == cell]
        line = trace(cell, [round(one.speed) for one in of_cell], [one.score.mean for one in of_cell], look)
        line["line"] = line["line"] | {"width": 1}
        line["customdata"] = [one.group.place for one in of_cell]
        line["hovertemplate"] = "%{customdata}: %{y}, %{x} tokens/s"
        if named:  # several cells have one colour
            line |= {"mode": "lines+markers+text", "text": [safe(cell), *[""] * (len(of_cell) - 1)]}
            line |= {"textposition": "top center", "textfont": {"size": 10}, "cliponaxis": False, "showlegend": False}
        data.append(line)
    note = "Speed: as the runs themselves measured it."
    if candidates[0].timed is not None:
        note = f"Speed: a training step by the fastest certified backend in {timing_source(candidates[0].timed)}."
    if missing := len(groups) - len(candidates):
        note += f" {missing} of {len(groups)} are left out: they lost runs, or have no such time."
    across = axis("tokens per second: faster to the right", type="log")
    scores = [one.score.mean for one in candidates]
    wide = {"type": "log"} if 0 < WIDE_SCORES * min(scores) < max(scores) else {}
    up = axis(f"{kind.unit}, less is better", **wide)
    return Plot(TITLE if best else UNRANKED, tuple(data), across, up, joined(note, sentence(reason)))


#: Here a colour is a length: which cell it is the row says.
LOOKS = tuple(Look(color, marker, "-") for color, marker in (FIXED["lstm"], FIXED["rnn"], FIXED["gru"], *OTHERS))
#: A logarithmic axis where the largest is so many times the smallest.
WIDE = 5


def ranking_plots(kind: TaskFamily, groups: Sequence[Group]) -> list[Plot | None]:
    """Score, speed and memory, each row by row."""
    scores = _rows(groups, kind.primary.key, "Which cell?", f"{kind.unit}, less is better")
    if scores is not None:
        scores = _with_references(scores, groups, *_upright_references(kind, groups))
    speed = _rows(groups, SPEED, "How fast does it train?", "tokens per second", more=True)
    memory = _rows(groups, MEMORY, "How much memory does it take?", "peak memory (MiB)")
    return [scores, speed, memory]


def _rows(groups: Sequence[Group], metric: str, title: str, unit: str, more: bool = False) -> Plot | None:
    """The best by the longest length at which it is known on top; the cells in their usual order where they are not
    ranked. more: more is better.
    """
    reason = unranked_anywhere(groups) if metric.startswith("test/") else None
    best: dict[str, tuple[int, bool, float]] = {}
    for g in sorted(groups, key=lambda g: g.length):
        lost, value = rank(g, metric)
        if math.isfinite(value):
            best[g.series] = (-g.length, lost, -value if more else value)
    names = sorted(best, key=lambda series: best[series] if reason is None else cell_rank(series))
    data: list[Trace] = []
    values: list[float] = []
    lengths = sorted({g.length for g in groups})
    for index, length in enumerate(lengths):
        scores = [(g.series, e) for g in groups if g.length == length for _, e in estimates([g], metric)]
        if not scores:
            continue
        look = LOOKS[index % len(LOOKS)]
        aside = 0.7 * ((index + 0.5) / len(lengths) - 0.5)  # dots of one row do not hide each other
        rows = [names.index(series) + aside for series, _ in scores]
        dots = trace(f"{groups[0].symbol} = {length}", [], rows, look, "markers")
        dots["marker"]["size"] = 8 if len(lengths) == 1 else 6
        dots["x"] = shorts((e.mean for _, e in scores), 5)
        dots["customdata"] = [safe(series) for series, _ in scores]
        dots["hovertemplate"] = "%{customdata}: %{x}"
        if bars := error_bars([e for _, e in scores], look, 1.2, 3):
            dots["error_x"] = bars
        data.append(dots)
        values += [e.mean for _, e in scores]
    if not data:
        return None
    wide = min(values) > 0 and max(values) > WIDE * min(values)
    spread = "Mean over seeds with its 95 % interval. " if any("error_x" in one for one in data) else ""
    order = f"Sorted by {groups[0].symbol} = {lengths[-1]}, those that lost runs last. " if len(lengths) > 1 else ""
    if reason is not None:
        order = sentence(reason)
    x = axis(unit, type="log") if wide else axis(unit)
    return Plot(title, tuple(data), x, rows_axis(names), (spread + order).strip(), rows_height(names))


def _upright_references(kind: TaskFamily, groups: Sequence[Group]) -> tuple[list[Trace], list[str]]:
    """Upright lines for the references that are the same for all and near the scores; the others by name and value."""
    scores = [e.mean for _, e in estimates(groups, kind.primary.key)]
    rows = len({g.series for g in groups})
    lines: list[Trace] = []
    far: list[str] = []
    low, high = min(scores), max(scores)
    reach = max(0.3 * (high - low), 0.05 * abs(high))
    for name, label in kind.drawn.items():
        key = f"reference/{name}_{kind.primary.metric}"
        values = {v for g in groups for r in g.results if (v := r.number(key)) is not None}
        if values and max(values) - min(values) < 1e-6 * abs(max(values)):
            value = max(values)
            if low - reach <= value <= high + reach:
                lines.append(reference(f"{label} {value:.3g}", [value] * 2, [-0.5, rows - 0.5], len(lines)))
            else:
                far.append(f"{label} ({value:.3g})")
    return lines, far
