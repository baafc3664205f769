"""Training runs along T: the score, the speed, the memory, and how the score came about."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rnnbench.report.figures.panels import question, reference_by_length, validations
from rnnbench.report.figures.style import LENGTHS, Look, looks
from rnnbench.report.page.plots.gradients import gradient_plots
from rnnbench.report.page.plots.pareto import pareto
from rnnbench.report.page.plots.plot import Plot, Trace, axis, lost_note, reference, span, ticks, trace
from rnnbench.report.page.plots.ranking import ranking_plots
from rnnbench.report.page.text import kept, shorts
from rnnbench.report.results import Result
from rnnbench.report.significance import Estimate
from rnnbench.report.statistics import SEQ_LEN, Group, crowded, group
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
