"""How likely is one cell to beat another? The probability of improvement, a row a pair (Agarwal et al. 2021)."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnbench.probes.measured import mean_decades
from rnnbench.report.comparisons import Comparison, unranked
from rnnbench.report.figures.contestants import FIXED as BACKENDS
from rnnbench.report.figures.contestants import REST, backend_color
from rnnbench.report.figures.panels import LEFT, SHOWN_DECADES, reference_by_length
from rnnbench.report.figures.style import GREY, OTHERS, REFERENCE, canvas, finish, looks, plain_number, save
from rnnbench.report.statistics import Group, cell_rank, rank
from rnnbench.report.task_families import TaskFamily

#: More rows than this are no picture: then those over all lengths are shown, or those at the longest T.
ROWS = 40


def improvement(comparisons: Sequence[Comparison], path: Path, formats: set[str]) -> list[Path]:
    """P(a run of the better cell beats one of the other) with its 95 % interval, in the colour of the better cell.

    Filled where the difference is sure (after Holm's correction), hollow where it may be chance. No pairs, no picture.
    """
    shown = _shown(comparisons)
    if not shown:
        return []
    looking = looks([name for one in shown for name in (one.better, one.other)])
    several = len({one.place for one in shown}) > 1
    leaders = {one.better for one in shown}
    labels = [_label(one, several, len(leaders) == 1) for one in shown]
    width = 5.6 + 0.085 * max(map(len, labels))
    with canvas(width=width, height=1.9 + 0.27 * len(shown)) as (figure, (axes,)):
        axes.axvline(0.5, **REFERENCE, label="a coin's toss")
        for row, one in enumerate(shown):
            look = looking[one.better]
            fill = look.color if one.sure else "white"
            axes.plot([one.probability_low, one.probability_high], [row, row], color=look.color, linewidth=2)
            axes.plot(one.probability, row, look.marker, color=look.color, markerfacecolor=fill, clip_on=False)
            if row and one.place != shown[row - 1].place:
                axes.axhline(row - 0.5, color="#BBBBBB", linewidth=0.8)
        for words, fill in (("p < 0.05 after Holm's correction", GREY), ("may be chance", "white")):
            axes.plot([], [], "o", color=GREY, markerfacecolor=fill, label=words)
        axes.set_yticks(range(len(shown)), labels)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.set_xlim(min(0.45, *(one.probability_low - 0.02 for one in shown)), 1.0)
        where = "" if several else f" ({_where(shown[0])})"
        who = f"{shown[0].better} to beat …" if len(leaders) == 1 else "the one to beat the other?"
        axes.set_title(textwrap.fill(f"How likely is {who}{where}", 52), x=0, ha="left")
        axes.set_xlabel("probability of improvement, 95 % interval over seeds")
        return finish(figure, [axes], path, formats)


def _shown(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """All of them, or where these are too many those over all lengths, or at the longest one; the first `ROWS`."""
    if len(comparisons) <= ROWS:
        return list(comparisons)
    over_all = [one for one in comparisons if one.length is None]
    last = max(one.length or 0 for one in comparisons)
    return (over_all or [one for one in comparisons if one.length == last])[:ROWS]


def _label(one: Comparison, several: bool, lone: bool) -> str:
    """Who beats whom; lone: it is the same one everywhere, and the title says so."""
    return f"{'' if lone else f'{one.better} > '}{one.other}{f', {_where(one)}' if several else ''}"


def _where(one: Comparison) -> str:
    return "over all lengths" if one.length is None else one.place


def ranking(kind: TaskFamily, groups: Sequence[Group], speed: str, path: Path, formats: set[str]) -> list[Path]:
    """A row a cell, best first where cells may be ranked: score, gradient flow after training, tokens per second.

    groups: of one data set and one T. speed: the metric with the throughput.
    """
    metric = kind.primary.key
    reason = unranked(groups)
    ranked = sorted(groups, key=lambda g: rank(g, metric) if reason is None else cell_rank(g.series))
    if not any(g.values(metric) for g in ranked):
        return []
    timed = any(g.values(speed) for g in ranked)
    widths = (4, 4, 3) if timed else (4, 4)
    names = 0.085 * max(len(g.series) for g in ranked)  # the panels are never narrower for them
    width, height = 0.6 + sum(widths) + names, 1.6 + 0.24 * len(ranked)
    with canvas(len(widths), width=width, height=height, widths=widths) as (figure, panels):
        _scores(panels[0], ranked, kind, reason)
        _flows(figure, panels[1], ranked)
        if timed:
            _speeds(panels[2], ranked, speed)
        for axes in panels:
            axes.set_ylim(len(ranked) - 0.5, -0.5)
            axes.tick_params(axis="y", length=0)
            axes.set_yticks(range(len(ranked)), [g.series for g in ranked] if axes is panels[0] else [])
        return save(figure, path, formats)


def _scores(axes: Axes, ranked: Sequence[Group], kind: TaskFamily, reason: str | None) -> None:
    metric = kind.primary.key
    color = OTHERS[2][0]
    shown = []
    for row, g in enumerate(ranked):
        score = g.estimate(metric)
        if score is None or not math.isfinite(score.mean):
            axes.annotate("lost", (0.02, row), xycoords=("axes fraction", "data"), va="center", fontsize=9, color=GREY)
            continue
        shown.append(score.mean)
        axes.plot(score.values, [row] * len(score.values), ".", color=color, alpha=0.5, markersize=5)
        if score.interval is not None:
            axes.plot(score.interval, [row, row], color="#0072B2", linewidth=1.4, alpha=0.7)
        axes.plot(score.mean, row, "o", color="#0072B2", markersize=5)
    low, high = min(shown), max(shown)
    far, near = [], []
    for name, label in kind.drawn.items():
        for value in reference_by_length(ranked, f"reference/{name}_{kind.primary.metric}").values():  # of one T
            if 2 * low - high <= value <= 2 * high - low:
                axes.axvline(value, **REFERENCE)
                near.append((value, label))
            else:
                far.append(f"{label} {value:.3g}")
    if high > 4 * max(low, 1e-12):
        axes.set_xscale("log")
    for index, (value, label) in enumerate(sorted(near)):  # two rows in turn: neighbours do not overprint each other
        place: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "fontsize": 9, "color": GREY, "va": "bottom"}
        place["ha"] = "right" if value > high else "left"  # not into the next panel
        axes.annotate(f" {label} ", (value, 1.0 + 0.2 * (index % 2) / (1 + 0.24 * len(ranked))), **place)
    plain_number(axes.xaxis)
    axes.set_title("Which cell?", pad=30)
    remarks = [*([reason] if reason else []), *(f"off the scale: {line}" for line in far)]
    axes.set_xlabel(f"{kind.unit}, less is better" + "".join(f"\n({remark})" for remark in remarks))


def _flows(figure: Figure, axes: Axes, ranked: Sequence[Group]) -> None:
    """log₁₀ G(k)/G(0) after training, the mean over seeds, as colours."""
    known = [
        [c for r in g.done if (c := r.curve("final/gradient_flow")) is not None and np.isfinite(c[0])] for g in ranked
    ]
    curves = [mean_decades(seeds) if seeds else None for seeds in known]
    longest = max((len(curve) for curve in curves if curve is not None), default=0)
    axes.set_title("How far do its gradients reach?", pad=30)
    if not longest:
        return
    picture = np.full((len(ranked), longest), np.nan)
    for row, curve in enumerate(curves):
        if curve is not None:
            picture[row, : len(curve)] = curve
    image = axes.imshow(
        np.clip(picture, -SHOWN_DECADES, 2), aspect="auto", cmap="viridis", vmin=-SHOWN_DECADES, vmax=2,
        interpolation="nearest", extent=(-0.5, longest - 0.5, len(ranked) - 0.5, -0.5),
    )  # fmt: skip
    axes.grid(False)
    axes.set_xlabel("lag k (states back), after training")
    figure.colorbar(image, ax=axes, label=LEFT, fraction=0.05, pad=0.02)


def _speeds(axes: Axes, ranked: Sequence[Group], speed: str) -> None:
    """Tokens per second, coloured by what ran: the parallel and the sequential tell apart."""
    backends = sorted({_backend(g) for g in ranked})
    for index, backend in enumerate(backends):
        rows = [row for row, g in enumerate(ranked) if _backend(g) == backend and g.values(speed)]
        color, (marker, _) = backend_color(backend), BACKENDS.get(backend, REST[index % len(REST)])
        values = [known.mean / 1e3 for row in rows if (known := ranked[row].estimate(speed)) is not None]
        axes.plot(values, rows, marker, color=color, linestyle="none", label=backend, markersize=5)
    axes.set_xscale("log")
    plain_number(axes.xaxis)
    axes.set_title("How fast does it train?", pad=30)
    axes.set_xlabel("tokens per second (thousand)")
    axes.legend(title="backend", fontsize=9, loc="best", frameon=True, framealpha=0.9)


def _backend(g: Group) -> str:
    return str(next((r.environment["backend"] for r in g.results if r.environment.get("backend")), "unknown"))
