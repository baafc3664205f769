"""What one set of axes shows: a score over length, gradient flow, a learning curve. `training` composes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import blended_transform_factory
from numpy.typing import NDArray

from rnnbench.probes.measured import decades, mean_of_those_left
from rnnbench.report.figures.style import GREY, REFERENCE, Look, length_axis
from rnnbench.report.results import Result
from rnnbench.report.significance import INTERVAL_SEEDS, Estimate, mean_band
from rnnbench.report.statistics import TRUNCATE, Group, data_settings

When = Literal["init", "final"]
#: Ratios below this are not drawn; the fits stop here too.
SHOWN_DECADES = 12
#: What is left of a gradient, on an axis.
LEFT = r"$\log_{10}\ G(k)\,/\,G(0)$"


def over_length(
    axes: Axes, groups: Sequence[Group], looks: dict[str, Look], metric: str, title: str, unit: str
) -> bool:
    """The mean of a metric against T, a point a seed, and a band from five seeds; False where nothing has it."""
    drawn = False
    for label, look in looks.items():
        members = [g for g in groups if g.series == label]
        means = estimates(members, metric)
        drawn = drawn or bool(means)
        axes.plot([length for length, _ in means], [e.mean for _, e in means], **look.line(), label=label)
        for length, e in means:
            axes.plot([length] * len(e.values), e.values, ".", color=look.color, alpha=0.45, markersize=5)
        band = [(length, e.low, e.high) for length, e in means if e.low is not None and e.high is not None]
        if band:
            lengths, low, high = zip(*band, strict=True)
            axes.fill_between(lengths, low, high, color=look.color, alpha=0.15, linewidth=0)
    length_axis(axes, sorted({g.length for g in groups}), groups[0].symbol)
    axes.set(title=title, ylabel=unit)
    return drawn


def estimates(groups: Sequence[Group], metric: str) -> list[tuple[int, Estimate]]:
    """Length and estimate of each group with a finite mean."""
    return [(g.length, e) for g in groups if (e := g.estimate(metric)) is not None and math.isfinite(e.mean)]


def lost_runs(axes: Axes, groups: Sequence[Group], looks: dict[str, Look]) -> None:
    """A cross at the upper edge over each T at which a line lost runs to divergence or failure."""
    hurt = [g for g in groups if len(g.done) < len(g.results)]
    for g in hurt:
        at_the_edge(axes, g.length, "×", looks[g.series].color)
    if hurt:
        axes.plot([], [], "x", color=GREY, label="lost runs")


def at_the_edge(axes: Axes, length: int, mark: str, color: str) -> None:
    """A mark at the upper edge over a T, beside those that are there already."""
    beside = sum(text.get_text() in "×≥" and getattr(text, "xy", (None,))[0] == length for text in axes.texts)
    edge = blended_transform_factory(axes.transData, axes.transAxes)
    style: dict[str, Any] = {"color": color, "size": 15, "weight": "bold", "ha": "center", "va": "center"}
    axes.annotate(mark, (length, 0.96), (11 * beside, 0), edge, "offset points", **style)


def reference_lines(axes: Axes, groups: Sequence[Group], metric: str, names: dict[str, str]) -> None:
    """A dashed grey line, named on it, for each reference; one far from the scores stands in the legend instead."""
    suffix = metric.rsplit("/", 1)[-1]
    scores = [value for g in groups for value in g.values(metric) if math.isfinite(value)]
    low, high = min(scores), max(scores)
    reach = 1.5 * max(high - low, 0.05 * abs(high))
    named: list[tuple[str, int, float]] = []
    for name, label in names.items():
        by_length = reference_by_length(groups, f"reference/{name}_{suffix}")
        if not by_length:
            continue
        lengths = sorted(by_length)
        values = [by_length[length] for length in lengths]
        if max(values) > high + reach or min(values) < low - reach:
            axes.plot([], [], **REFERENCE, label=f"{label} {values[-1]:.3g} (off the scale)")
            continue
        axes.plot(lengths, values, **REFERENCE) if len(lengths) > 1 else axes.axhline(values[0], **REFERENCE)
        named.append((label, lengths[-1], values[-1]))
    for label, length, value in named:
        near = [other - value for _, _, other in named if 0 < abs(other - value) < 0.06 * (high - low + reach)]
        below = near[0] > 0 if near else value < (low + high) / 2  # away from a neighbour, else from the scores
        offset, edge = ((0, -3), "top") if below else ((0, 3), "bottom")
        place: dict[str, Any] = {"xytext": offset, "textcoords": "offset points", "ha": "right", "va": edge}
        axes.annotate(label, (length, value), **place, fontsize=9, color=GREY)
    axes.margins(y=0.14)


def reference_by_length(groups: Sequence[Group], key: str) -> dict[int, float]:
    """A reference's score at each length, the mean over the runs: one that depends on what was read varies by seed.

    Nothing where it is not the same for all settings of the data (``data.horizon``): a line at the mean of several
    would be none of theirs. They stand in the table.
    """
    by_length: dict[int, dict[object, list[float]]] = {}
    for g in groups:
        values = [value for r in g.results if (value := r.number(key)) is not None]
        if values:
            by_length.setdefault(g.length, {}).setdefault(data_settings(g), []).extend(values)
    means = {length: [math.fsum(v) / len(v) for v in settings.values()] for length, settings in by_length.items()}
    if any(not math.isclose(min(each), max(each), rel_tol=1e-6) for each in means.values()):
        return {}
    return {length: each[0] for length, each in means.items()}


def question(groups: Sequence[Group]) -> str:
    """What a figure of scores asks: along K, along T, or at a single length."""
    if len({g.length for g in groups}) == 1:
        return "How well does each predict?"
    return "How far back must gradients go?" if groups[0].axis == TRUNCATE else "What does a longer T change?"


def spread_evenly(lengths: Sequence[int], most: int) -> list[int]:
    """Of sorted lengths so many at most, evenly from the shortest to the longest."""
    count = min(len(lengths), most)
    return [lengths[round(i * (len(lengths) - 1) / max(count - 1, 1))] for i in range(count)]


def longest(groups: Sequence[Group]) -> dict[str, Group]:
    """The group of the largest T on each line of a figure."""
    return {g.series: g for g in sorted(groups, key=lambda g: g.length)}


def gradient_flow(axes: Axes, groups: Sequence[Group], looks: dict[str, Look], when: When, title: str) -> bool:
    """log₁₀ G(k)/G(0) against lag k, the mean over seeds, at each line's longest T; False where there is no curve."""
    drawn = False
    lowest, highest = -1.0, 0.0
    for label, g in longest(groups).items():
        stacked = flows(g, when)
        if stacked is None:
            continue
        drawn = True
        lags = np.arange(stacked.shape[1])
        look = looks[label]
        lowest, highest = min(lowest, float(stacked.min())), max(highest, float(stacked.max()))
        axes.plot(lags, mean_of_those_left(stacked), color=look.color, linestyle=look.linestyle, label=label)
        spread(axes, lags.astype(float), stacked, look)
    axes.set(title=title, xlabel="lag k (states back from the loss)", ylabel=LEFT, ylim=shown_decades(lowest, highest))
    return drawn


def flows(g: Group, when: When) -> NDArray[np.float64] | None:
    """log₁₀ G(k)/G(0), (seeds, lags), as far as all seeds' curves go."""
    curves = [decades(curve) for curve in g.curves(f"{when}/gradient_flow") if np.isfinite(curve[0])]
    return np.stack([curve[: min(map(len, curves))] for curve in curves]) if curves else None


def shown_decades(lowest: float, highest: float) -> tuple[float, float]:
    """The ends of an axis of log₁₀ G(k)/G(0)."""
    return max(lowest - 0.3, -SHOWN_DECADES), min(highest + 0.3, SHOWN_DECADES)


def learning(axes: Axes, groups: Sequence[Group], looks: dict[str, Look], metric: str, title: str, unit: str) -> bool:
    """A validation score against the tokens seen, the mean over seeds; False where no history has it."""
    drawn = False
    for g in groups:
        if (curve := validations(g.done, metric)) is None:
            continue
        drawn = True
        look = looks[g.series]
        tokens, scores = curve
        axes.plot(tokens / 1e6, scores.mean(0), **look.line(), markevery=max(len(tokens) // 8, 1), label=g.series)
        spread(axes, tokens / 1e6, scores, look)
    axes.set(title=title, xlabel="tokens seen (million)", ylabel=unit)
    return drawn


def validations(results: Sequence[Result], metric: str) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Tokens seen (P,), and the score (runs, P), at the steps at which every run with a history has a finite one.

    Of a step that a history has twice, of a run that was killed and resumed, the last row counts. None where there is
    no such step; without a count of tokens it follows from the step.
    """
    histories: list[dict[int, tuple[float, float]]] = []
    for result in results:
        data = result.run["data"]
        per_step = data["seq_len"] * data.get("batch_size", 1)
        rows = [row for row in result.history() if "step" in row and isinstance(row.get(metric), int | float)]
        scores = {row["step"]: (float(row.get("tokens", row["step"] * per_step)), float(row[metric])) for row in rows}
        histories += [scores] if scores else []
    steps = sorted(set.intersection(*map(set, histories))) if histories else []
    shared = [step for step in steps if all(math.isfinite(scores[step][1]) for scores in histories)]
    if not shared:
        return None
    tokens = np.array([histories[0][step][0] for step in shared])
    return tokens, np.array([[scores[step][1] for step in shared] for scores in histories])


def share_ylim(panels: Sequence[Axes]) -> None:
    """One vertical scale for all of them."""
    limits = [axes.get_ylim() for axes in panels]
    for axes in panels:
        axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def spread(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], look: Look) -> None:
    """Around a mean: a 95 % band from five seeds on, below that each seed's thin line. y: (seeds, points)."""
    if len(y) >= INTERVAL_SEEDS:
        with np.errstate(invalid="ignore"):  # where a seed is infinite there is no band
            low, high = mean_band(y)
        axes.fill_between(x, low, high, color=look.color, alpha=0.18, linewidth=0)
    elif len(y) > 1:
        axes.plot(x, y.T, color=look.color, linestyle=look.linestyle, linewidth=0.7, alpha=0.5)
