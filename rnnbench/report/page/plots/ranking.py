"""Many cells, or one length: a row each, the best first where cells may be ranked, a dot for each length."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rnnbench.report.comparisons import unranked_anywhere
from rnnbench.report.figures.style import FIXED, OTHERS, Look
from rnnbench.report.page.plots.plot import Plot, Trace, axis, lost_note, reference, rows_axis, rows_height, safe, trace
from rnnbench.report.page.text import shorts
from rnnbench.report.statistics import Group, cell_rank, rank
from rnnbench.report.task_families import TaskFamily

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
