"""The figures of a study, each with its question as its title.

Every function writes path.svg, path.png or path.pdf, those in `formats`, and returns the files; none where the runs
lack what it shows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

from rnnbench.report.comparisons import compare
from rnnbench.report.figures.gradients import context_gain, flow_along, position_perplexity, reach_along
from rnnbench.report.figures.laboratory import laboratories
from rnnbench.report.figures.panels import (
    at_the_edge,
    learning,
    lost_runs,
    over_length,
    question,
    reference_lines,
    share_ylim,
    spread_evenly,
)
from rnnbench.report.figures.panels import gradient_flow as flow_panel
from rnnbench.report.figures.ranking import improvement, ranking
from rnnbench.report.figures.reach_map import option_figures, reach_map
from rnnbench.report.figures.style import GREY, REFERENCE, Look, canvas, finish, length_axis, looks
from rnnbench.report.results import Result
from rnnbench.report.statistics import CELL_ORDER, SEQ_LEN, Group, crowded, group
from rnnbench.report.task_families import TASK_FAMILIES, TaskFamily

#: Lengths of which each has a panel of learning curves, and of which each has a ranking of its own.
PANELS, RANKED = 4, 5
SPEED, MEMORY = "throughput/tokens_per_second", "memory/peak_mib"


def training_figures(
    kind: str, results: Sequence[Result], folder: Path, suffix: str, formats: set[str], axis: str = SEQ_LEN
) -> list[Path]:
    """All figures of one kind of task, a key of `TASK_FAMILIES`, on one data set.

    suffix: ends the files' names. formats: of svg, png and pdf. axis: the setting that is the length.
    """
    groups = group(results, axis)
    written = option_figures(groups, folder, suffix, formats)
    written += improvement(compare(groups, TASK_FAMILIES[kind].primary), folder / f"improvement{suffix}", formats)
    if crowded(groups):
        return written + _crowd(TASK_FAMILIES[kind], groups, folder, suffix, formats)
    written += overview(kind, groups, folder / f"overview{suffix}", formats)
    written += gradient_flow(groups, folder / f"gradient_flow{suffix}", formats)
    written += context_gain(groups, folder / f"context_gain{suffix}", formats)
    written += position_perplexity(groups, folder / f"position_perplexity{suffix}", formats)
    written += flow_along(groups, folder / f"gradient_flow_along{suffix}", formats)
    written += reach_along(groups, folder / f"reach_along{suffix}", formats)
    written += laboratories(groups, folder, suffix, formats)
    written += learning_curves(kind, groups, folder / f"learning_curves{suffix}", formats)
    if len({g.length for g in groups}) > 1 or not written:  # over one length there is nothing to see
        metric = TASK_FAMILIES[kind].primary.metric
        written += score_against_length(kind, groups, folder / f"{metric}_against_length{suffix}", formats)
        written += reach_against_length(groups, folder / f"reach_against_length{suffix}", formats)
        written += cost_against_length(groups, folder / f"cost_against_length{suffix}", formats)
    return written


def _crowd(kind: TaskFamily, groups: Sequence[Group], folder: Path, suffix: str, formats: set[str]) -> list[Path]:
    """Many cells: their reach as squares, rows of cells for each T (of many a few); the plain cells as torch starts
    them are looked into.
    """
    lengths = sorted({g.length for g in groups})
    written = reach_map(groups, folder / f"reach_map{suffix}", formats) if len(lengths) > 1 else []
    for length in spread_evenly(lengths, RANKED):
        members = [g for g in groups if g.length == length]
        end = f"{suffix}-{groups[0].symbol}{length}" if len(lengths) > 1 else suffix
        written += ranking(kind, members, SPEED, folder / f"overview{end}", formats)
    default = [g for g in groups if g.results[0].run["model"].get("init", "default") == "default"]
    plain = [g for g in default if g.cell in CELL_ORDER]
    return written + laboratories(plain, folder, suffix, formats)


def score_against_length(kind: str, groups: Sequence[Group], path: Path, formats: set[str]) -> list[Path]:
    """The task's score (bpc, mse) over T, with its reference lines."""
    with canvas() as (figure, (axes,)):
        if not _score(axes, kind, groups, _looks(groups)):
            return []
        return finish(figure, [axes], path, formats)


def gradient_flow(groups: Sequence[Group], path: Path, formats: set[str]) -> list[Path]:
    """How much of the last step's loss reaches earlier states, at initialisation and at the end, side by side."""
    with canvas(2) as (figure, (left, right)):
        drawn = flow_panel(left, groups, _looks(groups), "init", "How far do gradients reach at first …")
        drawn = flow_panel(right, groups, _looks(groups), "final", f"… and trained at {_trained(groups)}?") or drawn
        if not drawn:
            return []
        share_ylim((left, right))
        return finish(figure, [max((left, right), key=lambda axes: len(axes.lines))], path, formats)


def reach_against_length(groups: Sequence[Group], path: Path, formats: set[str]) -> list[Path]:
    """The lag at which the gradient is down to 1/100 over the length, at initialisation and after training.

    At the upper edge stands, marked ≥, what is not within the lags measured.
    """
    with canvas() as (figure, (axes,)):
        drawn = False
        for label, look in _looks(groups).items():
            members = [g for g in groups if g.series == label]
            for when, fill in (("init", "none"), ("final", look.color)):
                lags = [(g.length, v) for g in members if (v := g.median(f"{when}/hundredth_lag")) is not None]
                finite = [(length, value) for length, value in lags if 0 < value < math.inf]
                for length in [length for length, value in lags if (length, value) not in finite]:
                    at_the_edge(axes, length, "≥", look.color)
                drawn = drawn or bool(finite)
                style = look.line() | ({"linestyle": "none"} if when == "init" else {})
                x, y = [length for length, _ in finite], [value for _, value in finite]
                axes.plot(x, y, **style, markerfacecolor=fill, label=label if when == "final" else None)
        if not drawn:
            return []
        lengths = sorted({g.length for g in groups})
        axes.plot(lengths, lengths, **REFERENCE, label=f"lag = {groups[0].symbol}")
        axes.plot([], [], "o", color=GREY, markerfacecolor="none", label="at initialisation")
        axes.set_yscale("log", base=2)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        length_axis(axes, lengths, groups[0].symbol)
        title = "Do gradients reach as far as they were propagated in training?"
        axes.set(title=title, ylabel="lag at which the gradient is down to 1/100")
        return finish(figure, [axes], path, formats)


def cost_against_length(groups: Sequence[Group], path: Path, formats: set[str]) -> list[Path]:
    """Training tokens per second over the length, and beside it the peak memory, where it was measured."""
    colors = _looks(groups)
    measured = any(g.values(MEMORY) for g in groups)
    with canvas(1 + measured, width=10.4 if measured else None) as (figure, panels):
        if not _speed(panels[0], groups, colors):
            return []
        if measured:
            over_length(panels[1], groups, colors, MEMORY, "How much memory does it take?", "peak memory (MiB)")
            panels[1].set_ylim(0, 1.08 * max(value for g in groups for value in g.values(MEMORY)))
        return finish(figure, panels[:1], path, formats)


def learning_curves(kind: str, groups: Sequence[Group], path: Path, formats: set[str]) -> list[Path]:
    """Validation score against tokens, a panel for each T (of many T a few)."""
    lengths = sorted({g.length for g in groups})
    chosen = spread_evenly(lengths, PANELS)
    name = TASK_FAMILIES[kind].primary.metric
    unit = TASK_FAMILIES[kind].unit.replace("test", "validation")
    with canvas(len(chosen), width=max(3.3 * len(chosen), 6.0)) as (figure, panels):
        drawn = False
        for length, axes in zip(chosen, panels, strict=True):
            members = [g for g in groups if g.length == length]
            title = f"How does it learn? {members[0].place}" if length == chosen[0] else members[0].place
            drawn = learning(axes, members, _looks(groups), f"val/{name}", title, unit) or drawn
            if axes is not panels[0]:
                axes.sharey(panels[0])
                axes.set_ylabel("")
        if not drawn:
            return []
        return finish(figure, [max(panels, key=lambda axes: len(axes.lines))], path, formats)


def overview(kind: str, groups: Sequence[Group], path: Path, formats: set[str]) -> list[Path]:
    """Score, gradient flow (after training, else at initialisation) and throughput side by side."""
    colors = _looks(groups)
    with canvas(3, width=14.0) as (figure, (left, middle, right)):
        drawn = _score(left, kind, groups, colors)
        trained = flow_panel(middle, groups, colors, "final", f"How far do gradients reach? ({_trained(groups)})")
        if not trained:
            middle.clear()
            trained = flow_panel(middle, groups, colors, "init", "How far do gradients reach at first?")
        speed = _speed(right, groups, colors)
        if not (drawn and trained and speed):
            return []
        return finish(figure, [left], path, formats)


def _looks(groups: Sequence[Group]) -> dict[str, Look]:
    return looks([g.series for g in groups])


def _trained(groups: Sequence[Group]) -> str:
    return max(groups, key=lambda g: g.length).place


def _score(axes: Axes, kind: str, groups: Sequence[Group], colors: dict[str, Look]) -> bool:
    metric = TASK_FAMILIES[kind].primary.key
    drawn = over_length(axes, groups, colors, metric, question(groups), TASK_FAMILIES[kind].unit)
    if drawn:
        reference_lines(axes, groups, metric, TASK_FAMILIES[kind].drawn)
        lost_runs(axes, groups, colors)
    return drawn


def _speed(axes: Axes, groups: Sequence[Group], colors: dict[str, Look]) -> bool:
    drawn = over_length(axes, groups, colors, SPEED, "How fast does it train?", "tokens per second (thousand)")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value / 1e3:g}")
    axes.set_ylim(0, 1.08 * max((value for g in groups for value in g.values(SPEED)), default=1.0))
    return drawn
