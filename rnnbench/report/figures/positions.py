"""Position-wise perplexity: how well the next symbol is predicted p symbols after the state was zeroed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rnnbench.report.figures.panels import longest, spread
from rnnbench.report.figures.style import GREY, canvas, legend_below, looks, plain_log_axis, save
from rnnbench.report.statistics import Group

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: The curves: mean nats at each position, and its targets.
NLL, SIZES = "test/nll_by_position", "test/nll_position_sizes"


def position_perplexity(groups: Sequence[Group], path: Path, formats: set[str]) -> list[Path]:
    """ppl(p) over p on a log₂ axis, a line a cell at its longest T; dotted: what it comes to if the state is carried.

    Positions are pooled by half octaves: at one position alone the test text has few targets.
    """
    looking = looks([g.series for g in groups])
    with canvas() as (figure, (axes,)):
        drawn, carried = False, False
        for label, g in longest(groups).items():
            each = [pooled(nll, sizes) for nll, sizes in zip(g.curves(NLL), g.curves(SIZES), strict=False)]
            if not each:
                continue
            at, stacked = each[0][0], np.stack([np.exp(nll) for p, nll in each if np.array_equal(p, each[0][0])])
            look, drawn = looking[label], True
            axes.plot(at, stacked.mean(0), **look.line(), markersize=5, label=f"{label}, {g.place}")
            spread(axes, at, stacked, look)
            if (found := g.estimate("test/perplexity")) is not None and math.isfinite(found.mean):
                axes.axhline(found.mean, color=look.color, linestyle=":", linewidth=1.2)
                carried = True
        if not drawn:
            return []
        if carried:
            axes.plot([], [], color=GREY, linestyle=":", linewidth=1.2, label="state carried on")
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        plain_log_axis(axes)
        axes.set_title("How many symbols does it need to warm up?")
        axes.set_xlabel("symbols p read since the state was zeroed")
        axes.set_ylabel("test perplexity at p")
        legend_below(figure, axes)
        return save(figure, path, formats)


def pooled(nll: Floats, sizes: Floats) -> tuple[Floats, Floats]:
    """Positions 1 … T by half octaves, [1], [2], [3], [4, 5], [6, 7], [8 … 11], …; a short last pool joins another.

    Args:
        nll: (T,) mean nats at each position.
        sizes: (T,) how many targets that is the mean of.

    Returns:
        The mean position of each pool, and its mean nats, both weighted by targets.
    """
    p = np.arange(1.0, len(nll) + 1)
    octave = np.floor(np.log2(p))
    _, starts = np.unique(2 * octave + (p >= 1.5 * 2**octave), return_index=True)
    ends = np.append(starts, len(p))
    if len(starts) > 1 and 2 * (ends[-1] - ends[-2]) < ends[-2] - ends[-3]:
        starts = starts[:-1]
    weight = np.add.reduceat(sizes, starts)
    return np.add.reduceat(p * sizes, starts) / weight, np.add.reduceat(nll * sizes, starts) / weight
