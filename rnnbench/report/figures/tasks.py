"""Many tasks in two pictures: every score beside the baseline, and every learning curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from rnnbench.report.figures.panels import learning
from rnnbench.report.figures.style import GREY, REFERENCE, Look, canvas, finish, looks
from rnnbench.report.tables.table import number
from rnnbench.report.tables.tasks import TaskResult, short

SHAPES = ("one_to_one", "one_to_many", "many_to_one", "many_to_many", "seq2seq")
#: Ratios to the baseline beyond this stand at the edge.
EDGE = 1.3
TICKS = (0.0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
#: Learning curves side by side.
COLUMNS = 5


def task_figures(tasks: Sequence[TaskResult], folder: Path, formats: set[str]) -> list[Path]:
    """All figures of a study of many tasks."""
    return scores(tasks, folder / "tasks", formats) + learning_curves(tasks, folder / "learning_curves", formats)


def scores(tasks: Sequence[TaskResult], path: Path, formats: set[str]) -> list[Path]:
    """A row a task, by shape: each cell's test score and the reference lines, as ratios to the baseline."""
    tasks = [task for task in tasks if task.baseline and task.baseline[1] > 0]
    lines: list[TaskResult | str] = []
    for shape in SHAPES:
        members = [task for task in tasks if task.data_set.shape == shape]
        lines += [shape, *members] if members else []
    if not lines:
        return []
    styles = looks([g.series for task in tasks for g in task.groups])
    with canvas(2, width=9.6, height=1.4 + 0.3 * len(lines), widths=(5, 2.6)) as (figure, (axes, words)):
        axes.set_xscale("function", functions=(lambda ratio: np.sqrt(np.maximum(ratio, 0)), np.square))
        axes.set_xlim(0, EDGE)
        axes.axvline(1, **REFERENCE, label="baseline")
        for row, line in enumerate(lines):
            if isinstance(line, str):
                for panel in (axes, words):
                    panel.axhspan(row - 0.42, row + 0.42, color="#F0F0F0", linewidth=0, zorder=1.5)
                heading: dict[str, Any] = {"fontsize": 9.5, "weight": "bold", "va": "center", "zorder": 3}
                axes.text(0.0, row, f" {line.replace('_', ' ')}", color=GREY, **heading)
            else:
                _lines(axes, row, line)
                _markers(axes, row, line, styles)
                _words(words, row, line)
        named = [(row, line.label) for row, line in enumerate(lines) if not isinstance(line, str)]
        axes.set_yticks([row for row, _ in named], [label for _, label in named], fontsize=9.5)
        axes.tick_params(axis="y", length=0)
        axes.grid(False, axis="y")
        axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
        axes.spines["left"].set_visible(False)
        axes.set_title("What has been learnt beyond a baseline's answer?", pad=8)
        axes.set_xlabel("test score over the baseline's, root scale (0: perfect, 1: no better)")
        words.set_xlim(0, 1)
        words.axis("off")
        words.set_title("best cell          baseline", fontsize=9.5, color=GREY, pad=8)
        for panel in (axes, words):
            panel.set_ylim(len(lines) - 0.4, -0.6)
        for label, style in styles.items():
            axes.plot([], [], style.marker, color=style.color, linestyle="none", label=label)
        axes.plot([], [], "|", color=GREY, linestyle="none", markersize=9, label="stronger reference lines")
        return finish(figure, [axes], path, formats)


def learning_curves(tasks: Sequence[TaskResult], path: Path, formats: set[str]) -> list[Path]:
    """Validation score against tokens, a panel a task, with the baseline (the test part's)."""
    tasks = [task for task in tasks if any(list(r.history()) for g in task.groups for r in g.done)]
    if not tasks:
        return []
    styles = looks([g.series for task in tasks for g in task.groups])
    rows = math.ceil(len(tasks) / COLUMNS)
    with canvas(len(tasks), width=2.6 * min(COLUMNS, len(tasks)), height=0.6 + 2.0 * rows, rows=rows) as (figure, grid):
        for axes, task in zip(grid, tasks, strict=True):
            metric = task.kind.primary.metric
            learning(axes, task.groups, styles, f"val/{metric}", "", "")
            if task.baseline:
                axes.axhline(task.baseline[1], **REFERENCE, label="baseline on test")
            axes.set_title(task.label, fontsize=10)
            axes.set_title(metric, fontsize=9, loc="right", color=GREY, fontweight="normal")
            axes.margins(y=0.1)
            axes.set_ylim(bottom=0)
            axes.set_xlabel("")
            axes.tick_params(labelsize=8)
            axes.locator_params(nbins=4)
        title = "How does it learn? Validation score against tokens seen (million)"
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return finish(figure, grid, path, formats)


def _lines(axes: Axes, row: int, task: TaskResult) -> None:
    """Grey, from the perfect score to the baseline's, with a tick for every line stronger than the baseline's."""
    assert task.baseline is not None
    baseline = task.baseline[1]
    axes.plot([0, 1], [row, row], color="#D9D9D9", linewidth=0.8, zorder=1)
    stronger = sorted((value / baseline, name) for name, value in task.lines.items() if value < baseline)
    for index, (ratio, name) in enumerate(stronger):
        side = "center" if len(stronger) == 1 else "left" if index else "right"
        axes.plot(ratio, row, "|", color=GREY, markersize=9, markeredgewidth=1.4, zorder=2)
        axes.annotate(short(name), (ratio, row), (0, 4), textcoords="offset points", ha=side, fontsize=8, color=GREY)


def _markers(axes: Axes, row: int, task: TaskResult, styles: dict[str, Look]) -> None:
    """Each cell's mean, its seeds as small points; an arrow where it is worse than the axis reaches."""
    assert task.baseline is not None
    baseline = task.baseline[1]
    for g in task.groups:
        score = g.estimate(task.kind.primary.key)
        if score is None or not math.isfinite(score.mean):
            continue
        look = styles[g.series]
        if score.mean > EDGE * baseline:
            axes.annotate("▸", (EDGE, row), color=look.color, ha="right", va="center", fontsize=11)
            continue
        if len(score.values) > 1:
            seeds = [value / baseline for value in score.values]
            axes.plot(seeds, [row] * len(seeds), ".", color=look.color, alpha=0.4, markersize=4, clip_on=False)
        axes.plot(score.mean / baseline, row, look.marker, color=look.color, markersize=6.5, clip_on=False, zorder=4)


def _words(axes: Axes, row: int, task: TaskResult) -> None:
    """The best cell's score and the baseline's, as numbers."""
    assert task.baseline is not None
    primary, best = task.kind.primary, task.best.estimate(task.kind.primary.key)
    name, baseline = task.baseline
    score = number(best.mean if best else None, 3)
    axes.text(0.24, row, score, va="center", ha="right", fontsize=8.5)
    axes.text(0.26, row, primary.metric, va="center", fontsize=8.5)
    axes.text(0.62, row, number(baseline, 3), va="center", ha="right", fontsize=8.5, color=GREY)
    axes.text(0.64, row, short(name), va="center", fontsize=8.5, color=GREY)
