"""How likely is one cell to beat another? The probability of improvement, a row a pair (Agarwal et al. 2021)."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from rnnbench.report.comparisons import Comparison
from rnnbench.report.figures.style import GREY, canvas, legend_below, looks, save

#: More rows than this are no picture: those of one T make room for those over all, or for the best at the longest T.
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
        axes.axvline(0.5, color=GREY, linestyle=(0, (4, 3)), linewidth=1.1, label="a coin's toss")
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
        legend_below(figure, axes)
        return save(figure, path, formats)


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
