"""Training runs: score, speed and memory along T or row by row, quality against speed, and how the score came about."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rnnbench.report.estimates import Estimate
from rnnbench.report.fairness import unranked_anywhere
from rnnbench.report.figures.panels import question, reference_by_length, validations
from rnnbench.report.figures.pareto import LEAST, TITLE, UNRANKED, best_choices, choices
from rnnbench.report.figures.style import FIXED, GREY, LENGTHS, OTHERS, Look, looks
from rnnbench.report.page.gradient_plots import gradient_plots
from rnnbench.report.page.plot import (
    Plot,
    Trace,
    axis,
    lost_note,
    reference,
    rows_axis,
    rows_height,
    safe,
    span,
    ticks,
    trace,
)
from rnnbench.report.page.text import kept, shorts
from rnnbench.report.results import Result
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
    lines, far = references(kind, groups)
    notes = [plot.note, f"Off the scale: {', '.join(far)}." if far else "", lost_note(groups)]
    return Plot(plot.title, (*plot.data, *lines), plot.x, plot.y, " ".join(filter(None, notes)))


def references(kind: TaskFamily, groups: Sequence[Group]) -> tuple[list[Trace], list[str]]:
    """A dashed line over T for each reference near the scores; the names and values of those that are far from them."""
    metric = kind.primary.key
    scores = [value for g in groups for value in g.values(metric) if math.isfinite(value)]
    low, high = min(scores), max(scores)
    reach = 1.5 * max(high - low, 0.05 * abs(high))
    lines: list[Trace] = []
    far: list[str] = []
    for name, label in kind.drawn.items():
        key = f"reference/{name}_{kind.primary.metric}"
        found = reference_by_length(groups, key)
        if not found:
            continue
        lengths = sorted(found)
        if max(found.values()) > high + reach or min(found.values()) < low - reach:
            far.append(f"{label} ({found[lengths[-1]]:.3g})")
        else:
            lines.append(reference(label, lengths, [found[length] for length in lengths], len(lines)))
    return lines, far


def _over_length(groups: Sequence[Group], metric: str, title: str, unit: str) -> Plot | None:
    """A metric against T: means with 95 % intervals, or each seed's point."""
    data: list[Trace] = []
    lengths: set[int] = set()
    looking = looks([g.series for g in groups])
    for label, look in looking.items():
        members = [g for g in groups if g.series == label]
        found = [(g.length, e) for g in members if (e := g.estimate(metric)) is not None and math.isfinite(e.mean)]
        if found:
            lengths |= {length for length, _ in found}
            data += estimates(label, look, found)
    if not data:
        return None
    return Plot(title, tuple(data), ticks(LENGTHS[groups[0].symbol], list(lengths)), axis(unit), _bars(groups, metric))


def estimates(label: str, look: Look, found: Sequence[tuple[float, Estimate]]) -> list[Trace]:
    """A line through means, with error bars where there are intervals, and a faint point a seed."""
    line = trace(label, [x for x, _ in found], [e.mean for _, e in found], look)
    intervals = [e.interval or (e.mean, e.mean) for _, e in found]
    if any(e.interval for _, e in found):
        line["error_y"] = {
            "type": "data", "symmetric": False, "thickness": 1.5, "width": 4, "color": look.color,
            "array": shorts(high - e.mean for (_, e), (_, high) in zip(found, intervals, strict=True)),
            "arrayminus": shorts(e.mean - low for (_, e), (low, _) in zip(found, intervals, strict=True)),
        }  # fmt: skip
    points = [(x, value) for x, e in found if len(e.values) > 1 for value in e.values]
    seeds = trace(label, [x for x, _ in points], [y for _, y in points], look, "markers")
    seeds |= {"showlegend": False, "opacity": 0.45, "hovertemplate": "one seed: %{y}<extra></extra>"}
    seeds["marker"] = {"color": look.color, "size": 5}
    return [line, seeds] if points else [line]


def _bars(groups: Sequence[Group], metric: str) -> str:
    found = [e for g in groups if (e := g.estimate(metric)) is not None]
    if any(e.interval for e in found):
        return "Mean over seeds with its 95 % Student-t interval; small dots: each seed."
    return "Mean over seeds; small dots: each seed." if any(len(e.values) > 1 for e in found) else ""


def _learning(kind: TaskFamily, groups: Sequence[Group]) -> list[Plot | None]:
    """Validation scores against tokens, a figure for each of some lengths."""
    lengths = sorted({g.length for g in groups})
    count = min(len(lengths), LEARNT)
    chosen = [lengths[round(i * (len(lengths) - 1) / max(count - 1, 1))] for i in range(count)]
    looking = looks([g.series for g in groups])
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
    title = f"How does it learn at {groups[0].place}?" if groups else ""
    note = "Shaded: from the lowest to the highest seed." if seeds > 1 else ""
    unit = kind.unit.replace("test", "validation")
    return Plot(title, tuple(data), axis("tokens seen (million)"), axis(unit), note) if data else None


#: Scores that span so many times the best one need a logarithmic axis.
WIDE_SCORES = 20


def pareto(kind: TaskFamily, groups: Sequence[Group], timed: Sequence[Timed]) -> Plot | None:
    """The score against tokens a second; one cell's lengths are joined. None where more than cells and T is compared.

    timed: timings at hand, which are better than what the runs measured of themselves.
    """
    found = [] if groups[0].extras else choices(groups, timed, kind.primary.key)
    if len(found) < LEAST:
        return None
    best, reason = best_choices(found)
    front = trace(
        "beaten by none in both", [found[i].speed for i in best], [found[i].score.mean for i in best],
        Look(GREY, "o", "-"), "lines",
    )  # fmt: skip
    front["line"] = {"color": GREY, "width": 7, "shape": "hv"}
    front["opacity"] = 0.35
    data: list[Trace] = [front] if best else []
    named = len({one.group.cell for one in found}) >= CROWD
    for cell, look in looks([one.group.cell for one in found]).items():
        own = [one for one in found if one.group.cell == cell]
        line = trace(cell, [round(one.speed) for one in own], [one.score.mean for one in own], look)
        line["line"] = line["line"] | {"width": 1}
        line["customdata"] = [f"{one.group.place}" for one in own]
        line["hovertemplate"] = "%{customdata}: %{y}, %{x} tokens/s"
        if named:  # colours come back
            line |= {"mode": "lines+markers+text", "text": [safe(cell), *[""] * (len(own) - 1)], "showlegend": False}
            line |= {"textposition": "top center", "textfont": {"size": 10}, "cliponaxis": False}
        data.append(line)
    note = "Speed: as the runs themselves measured it."
    if (source := found[0].timed) is not None:
        settings = source.settings
        note = (
            f"Speed: a training step by the fastest certified backend in {source.result.study}, "
            f"H {settings['hidden_size']}, {settings['dtype']}, on {settings['device']}."
        )
    if missing := len(groups) - len(found):
        note += f" {missing} of {len(groups)} are left out: they lost runs, or have no such time."
    note += f" {reason[0].upper()}{reason[1:]}." if reason else ""
    x = axis("tokens per second: faster to the right", type="log")
    scores = [one.score.mean for one in found]
    wide = {"type": "log"} if 0 < WIDE_SCORES * min(scores) < max(scores) else {}
    y = axis(f"{kind.unit}, less is better", **wide)
    return Plot(TITLE if best else UNRANKED, tuple(data), x, y, note)


#: Here a colour is a length: which cell it is the row says.
LOOKS = tuple(Look(color, marker, "-") for color, marker in (FIXED["lstm"], FIXED["rnn"], FIXED["gru"], *OTHERS))
#: A logarithmic axis where the largest is so many times the smallest.
WIDE = 5


def ranking_plots(kind: TaskFamily, groups: Sequence[Group]) -> list[Plot | None]:
    """Score, speed and memory, each row by row."""
    scores = _rows(groups, kind.primary.key, "Which cell?", f"{kind.unit}, less is better")
    if scores is not None:
        lines, far = _references(kind, groups)
        notes = [scores.note, f"Off the scale: {', '.join(far)}." if far else "", lost_note(groups)]
        note = " ".join(filter(None, notes))
        scores = Plot(scores.title, (*scores.data, *lines), scores.x, scores.y, note, scores.height)
    speed = _rows(groups, "throughput/tokens_per_second", "How fast does it train?", "tokens per second", more=True)
    memory = _rows(groups, "memory/peak_mib", "How much memory does it take?", "peak memory (MiB)")
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
        found = [(g.series, e) for g in groups if g.length == length and (e := g.estimate(metric)) is not None]
        found = [(series, e) for series, e in found if math.isfinite(e.mean)]
        if not found:
            continue
        look = LOOKS[index % len(LOOKS)]
        aside = 0.7 * ((index + 0.5) / len(lengths) - 0.5)  # dots of one row do not hide each other
        one = trace(
            f"{groups[0].symbol} = {length}", [], [names.index(series) + aside for series, _ in found], look, "markers"
        )
        one["marker"]["size"] = 8 if len(lengths) == 1 else 6
        one["x"] = shorts((e.mean for _, e in found), 5)
        one["customdata"] = [safe(series) for series, _ in found]
        one["hovertemplate"] = "%{customdata}: %{x}"
        if any(e.interval for _, e in found):
            one["error_x"] = {
                "type": "data", "symmetric": False, "thickness": 1.2, "width": 3, "color": look.color,
                "array": shorts(e.high - e.mean if e.high is not None else 0.0 for _, e in found),
                "arrayminus": shorts(e.mean - e.low if e.low is not None else 0.0 for _, e in found),
            }  # fmt: skip
        data.append(one)
        values += [e.mean for _, e in found]
    if not data:
        return None
    wide = min(values) > 0 and max(values) > WIDE * min(values)
    spread = "Mean over seeds with its 95 % interval. " if any("error_x" in one for one in data) else ""
    order = f"Sorted by {groups[0].symbol} = {lengths[-1]}, those that lost runs last. " if len(lengths) > 1 else ""
    if reason is not None:
        order = f"{reason[0].upper()}{reason[1:]}."
    x = axis(unit, type="log") if wide else axis(unit)
    return Plot(title, tuple(data), x, rows_axis(names), (spread + order).strip(), rows_height(names))


def _references(kind: TaskFamily, groups: Sequence[Group]) -> tuple[list[Trace], list[str]]:
    """Upright lines for the references that are the same for all and near the scores; the others by name and value."""
    scores = [e.mean for g in groups if (e := g.estimate(kind.primary.key)) is not None and math.isfinite(e.mean)]
    rows = len({g.series for g in groups})
    lines: list[Trace] = []
    far: list[str] = []
    if not scores:
        return lines, far
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
