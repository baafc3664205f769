"""The figure of a throughput study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rnnbench.report.figures.style import LINES, canvas, legend_below, length_axis, looks, plain_log_axis, save
from rnnbench.report.results import Result
from rnnbench.report.tables.timing import Timing, timings


def timing_figures(results: Sequence[Result], folder: Path, formats: set[str]) -> list[Path]:
    """All figures of a throughput study."""
    return timing_against_length(timings(results), folder / "timing_against_length", formats)


def timing_against_length(found: Sequence[Timing], path: Path, formats: set[str]) -> list[Path]:
    """Median time of a training step, its interquartile range as bars: colour by cell, line style by backend."""
    found = [one for one in found if "step_ms" in one.numbers]
    if not found:
        return []
    colors = looks([one.cell for one in found])
    backends = sorted({str(one.backend) for one in found})
    lines: dict[tuple[str, str], list[Timing]] = {}
    for one in found:
        lines.setdefault((one.cell, str(one.backend)), []).append(one)
    with canvas() as (figure, (axes,)):
        for (cell, backend), line in lines.items():
            axes.errorbar(
                [one.seq_len for one in line],
                [one.numbers["step_ms"] for one in line],
                yerr=[one.numbers.get("step_iqr_ms", 0.0) / 2 for one in line],
                **colors[cell].line() | {"linestyle": LINES[backends.index(backend) % len(LINES)]},
                capsize=3,
                label=f"{cell}, {backend}",
            )
        length_axis(axes, sorted({one.seq_len for one in found}))
        plain_log_axis(axes)
        axes.set_title("How long does a training step take?")
        axes.set_ylabel("ms a step (median, bars: IQR)")
        legend_below(figure, axes)
        return save(figure, path, formats)
