"""What was measured inside one run, in one picture: gates, saliency, shares by lag, exponents, singular values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from rnnbench.probes.heat_map import lag_axis
from rnnbench.probes.measured import decades
from rnnbench.report.figures.panels import LEFT
from rnnbench.report.figures.style import GREY, OTHERS, REFERENCE, Look, canvas, file_name, log2_axis, looks, save
from rnnbench.report.results import Result
from rnnbench.report.statistics import Group, cell_name

#: How a curve at initialisation and one at the end are drawn.
WHEN = {"init": "--", "final": "-"}
GATES = "gates/"
COLUMNS = 3
Panel = Callable[["Axes", Result, Look], None]


def laboratory(result: Result, place: str, path: Path, formats: set[str]) -> list[Path]:
    """The picture of a finished run, trained at a place ``T = 64``; no file where its curves have none of this."""
    drawers = [draw for name, draw in PANELS.items() if _has(result, name)]
    if not drawers:
        return []
    name = cell_name(result.cell)
    look = looks([name])[name]
    rows = math.ceil(len(drawers) / COLUMNS)
    width = max(4.3 * min(len(drawers), COLUMNS), 5.0)
    with canvas(len(drawers), width=width, height=3.7 * rows + 0.4, rows=rows) as (figure, panels):
        for axes, draw in zip(panels, drawers, strict=True):
            draw(axes, result, Look(look.color, look.marker, "-"))
        seed = result.run.get("seed", 0)
        title = f"{result.cell} on {result.data}, {place}, seed {seed}"
        figure.suptitle(f"{title}   (dashed: at initialisation)", fontsize=11, color=GREY)
        return save(figure, path, formats)


def _has(result: Result, name: str) -> bool:
    if name == "lyapunov":  # one exponent is a number, and stands in the table
        spectra = (result.curve(f"{when}/lyapunov") for when in WHEN)
        return any(exponents is not None and len(exponents) > 1 for exponents in spectra)
    return any(curve.split("/", 1)[-1].startswith(name) for curve in result.curve_names)


def _by_lag(axes: Axes, result: Result, name: str, color: str, label: str | None = None) -> int:
    """log₁₀ of a curve over its value at lag 0, at initialisation and at the end; how long the longest is."""
    longest = 2
    for when, style in WHEN.items():
        if (curve := result.curve(f"{when}/{name}")) is not None:
            axes.plot(decades(curve), linestyle=style, color=color, label=label if when == "final" else None)
            longest = max(longest, len(curve))
    return longest


def _averaged(axes: Axes, result: Result, look: Look) -> None:
    """The warning: of a loss averaged over all steps, vanishing cannot be seen."""
    longest = _by_lag(axes, result, "gradient_flow", look.color, "last step's loss")
    longest = max(longest, _by_lag(axes, result, "gradient_flow_averaged", GREY, "loss averaged over steps"))
    axes.set_ylim(bottom=max(axes.get_ylim()[0], -12))
    lag_axis(axes, longest, label="lag k (states back)")
    axes.set(title="How far do gradients reach?", ylabel=LEFT)
    axes.legend(fontsize=9, loc="lower left")


def _saliency(axes: Axes, result: Result, look: Look) -> None:
    """log₁₀ of the gradient that reaches each input, over that of the last."""
    longest = _by_lag(axes, result, "saliency", look.color)
    axes.set_ylim(bottom=max(axes.get_ylim()[0], -12))
    lag_axis(axes, longest, label="lag k (inputs back)")
    axes.set(title="Which inputs does it look at?", ylabel=r"$\log_{10}$ saliency, relative")


def _share(axes: Axes, result: Result, look: Look) -> None:
    """How much of the parameter gradient comes from the last so many states, cumulated."""
    longest = 2
    for when, style in WHEN.items():
        share = result.curve(f"{when}/gradient_share")
        if share is not None:
            axes.plot(100 * np.cumsum(share), linestyle=style, color=look.color)
            longest = max(longest, len(share))
    lag_axis(axes, longest, label="lag k (states back)")
    axes.set(ylim=(0, 103), title="Which lags does it learn from?", ylabel="% of the parameter gradient within k")


def _lyapunov(axes: Axes, result: Result, look: Look) -> None:
    for when, style in WHEN.items():
        if (exponents := result.curve(f"{when}/lyapunov")) is not None:
            shown = np.where(exponents < -700, np.nan, exponents)  # lost for good: no place on an axis
            fill = look.color if when == "final" else "white"
            index = np.arange(1, len(shown) + 1)
            axes.plot(index, shown, style, color=look.color, marker=look.marker, markerfacecolor=fill, markersize=5)
    axes.axhline(0, **REFERENCE)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(title="Does its state forget?", xlabel="i, from the largest exponent on")
    axes.set_ylabel(r"Lyapunov exponent $\lambda_i$ (nats a step)")


def _singular(axes: Axes, result: Result, look: Look) -> None:
    """Singular values of ∂s_t/∂s_{t−k}: a band from the least to the largest of those kept, lines between."""
    for when, style in WHEN.items():
        lags, values = result.curve(f"{when}/singular_lags"), result.curve(f"{when}/singular_values")
        if lags is None or values is None:
            continue
        for index, column in enumerate(np.where(np.isfinite(values), values, np.nan).T / math.log(10)):
            width, alpha = (1.8, 1.0) if index == 0 else (0.9, 0.35)
            axes.plot(lags, column, style, color=look.color, linewidth=width, alpha=alpha)
    axes.axhline(0, **REFERENCE)
    axes.set_ylim(bottom=max(axes.get_ylim()[0], -12))
    log2_axis(axes)
    axes.set(title="What does the state pass on?", xlabel="lag k (states)")
    axes.set_ylabel(r"$\log_{10}\ \sigma_i$ of $\partial s_t/\partial s_{t-k}$")


def _gates(axes: Axes, result: Result, look: Look) -> None:
    """Shares of a gate's values between 0 and 1, a line a gate."""
    names = sorted({name.split(GATES, 1)[1] for name in result.curve_names if f"/{GATES}" in name})
    colors = [look.color, *(color for color, _ in OTHERS if color != look.color)]
    for index, name in enumerate(names):
        for when, style in WHEN.items():
            if (counts := result.curve(f"{when}/{GATES}{name}")) is not None:
                share = 100 * counts / max(counts.sum(), 1)
                edges, label = np.linspace(0, 1, len(share) + 1), name if when == "final" else None
                axes.stairs(
                    share, edges, color=colors[index % len(colors)], linestyle=style, linewidth=1.5, label=label
                )
    axes.set(xlim=(0, 1), title="How open are its gates?", xlabel="gate (0 shut, 1 open)", ylabel="% of values")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=9)


#: The beginning of a curve's name behind ``init/`` or ``final/`` → what draws it, in the order of the panels.
PANELS: dict[str, Panel] = {
    "gradient_flow_averaged": _averaged,
    "saliency": _saliency,
    "gradient_share": _share,
    "singular_values": _singular,
    "lyapunov": _lyapunov,
    GATES: _gates,
}


def laboratories(groups: Sequence[Group], folder: Path, ending: str, formats: set[str]) -> list[Path]:
    """The picture of each cell's first seed that is done, at its longest length."""
    chosen: dict[str, Group] = {}
    for g in sorted(groups, key=lambda one: -one.length):
        if g.done:
            chosen.setdefault(g.cell, g)
    written: list[Path] = []
    for label, g in chosen.items():
        name = f"laboratory-{label}-{g.symbol}{g.length}{ending}"
        written += laboratory(g.done[0], g.place, folder / file_name(name), formats)
    return written
