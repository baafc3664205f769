"""What one number of a cell does: its gradients' reach and its Lyapunov exponent, before and after training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnbench.config import CellConfig
from rnnbench.report.figures.style import GREY, Look, canvas, file_name, legend_below, looks, plain_log_axis, save
from rnnbench.report.statistics import Group
from rnnbench.report.tables.table import lag

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: So many values make a sweep of an option.
ENOUGH = 4
WHEN = {"init": "at initialisation", "final": "trained"}
SweptSetting = list[tuple[float, Group]]


def option_figures(groups: Sequence[Group], folder: Path, suffix: str, formats: set[str]) -> list[Path]:
    """A figure for each cell that a study has at four or more values of a numeric option, all else equal."""
    written: list[Path] = []
    for (name, option), sweep in _sweeps(groups).items():
        path = folder / file_name(f"{name}_against_{option}{suffix}")
        written += _draw(name, option, sorted(sweep, key=lambda pair: pair[0]), path, formats)
    return written


def _sweeps(groups: Sequence[Group]) -> dict[tuple[str, str], SweptSetting]:
    """By cell and option; what differs by more than that one option is in none."""
    out: dict[tuple[str, str, int, object], SweptSetting] = {}
    for g in groups:
        cell = CellConfig.parse(g.results[0].run["cell"])
        if len(cell.options) == 1:
            ((option, value),) = cell.options.items()
            if isinstance(value, int | float) and not isinstance(value, bool):
                out.setdefault((cell.name, option, g.length, g.extras), []).append((float(value), g))
    return {(name, option): sweep for (name, option, *_), sweep in out.items() if len(sweep) >= ENOUGH}


def _draw(name: str, option: str, sweep: SweptSetting, path: Path, formats: set[str]) -> list[Path]:
    own = looks([name])[name]
    look = Look(own.color, own.marker, "-")
    words = option.replace("_", " ")
    with canvas(2) as (figure, (left, right)):
        if not _metric(left, sweep, "hundredth_lag", look):
            return []
        top = max(
            (v for _, g in sweep for w in WHEN for v in g.values(f"{w}/hundredth_lag") if math.isfinite(v)), default=1
        )
        plain_log_axis(left)
        left.set_ylim(top=3 * top)
        left.set_title(f"How far do gradients of {name} reach?")
        left.set_ylabel("lag at which the gradient is down to 1/100")
        if _metric(right, sweep, "lyapunov_1", look):
            right.axhline(0, color=GREY, linestyle=(0, (4, 3)), linewidth=1.1)
        right.set_title("Order or chaos?")
        right.set_ylabel(r"$\lambda_1$ (nats a step)")
        for axes in (left, right):
            axes.set_xlabel(words)
        legend_below(figure, left)
        return save(figure, path, formats)


def _metric(axes: Axes, sweep: SweptSetting, metric: str, look: Look) -> bool:
    """Medians as a line, seeds as points; at the upper edge a lag beyond those measured, at the lower one −∞."""
    drawn = False
    for when, words in WHEN.items():
        style = look.line() | ({"linestyle": "--", "markerfacecolor": "white"} if when == "init" else {})
        middle = [(value, m) for value, g in sweep if (m := g.median(f"{when}/{metric}")) is not None]
        if not middle:
            continue
        drawn = True
        axes.plot(
            *zip(*[(v, m if math.isfinite(m) else math.nan) for v, m in middle], strict=True), **style, label=words
        )
        for value, g in sweep:
            seeds = [v for v in g.values(f"{when}/{metric}") if math.isfinite(v)]
            axes.plot([value] * len(seeds), seeds, ".", color=look.color, alpha=0.35, markersize=4)
        for value, g in sweep:
            m = g.median(f"{when}/{metric}")
            if m is not None and math.isinf(m):
                text, up = (lag(m, g.median(f"{when}/lags")).replace("≥ ", "≥"), 0.96) if m > 0 else ("−∞", 0.04)
                place: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "color": look.color, "ha": "center"}
                axes.annotate(text, (value, up), **place, size=9)
    return drawn
