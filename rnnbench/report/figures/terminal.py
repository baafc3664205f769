"""Curves drawn with characters: a symbol a line, so that they tell apart without colour and on paper."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from rnnbench.report.statistics import cell_name

SYMBOLS, PLAIN_SYMBOLS = "●▲■◆○△□◇", "ox*#@%&="
COLORS = {"rnn": "red", "lstm": "blue", "gru": "green"}
OTHER_COLORS = ("magenta", "yellow", "cyan", "bright_black")
#: Lines of the picture, about, and decades that it reaches down at the most.
ROWS, DECADES = 14, 12
MARGIN = " " * 6


def curves(named: Mapping[str, NDArray[np.float64]], width: int, plain: bool = False) -> list[Text]:
    """Curves over lag k = 0, 1, … on a logarithmic lag axis, as lines of text; the last ones say which is which.

    Args:
        named: log₁₀ G(k)/G(0) by the label of the line, which begins with the cell's name. A line ends where it leaves
            the picture at the bottom.
        width: Columns of the terminal.
        plain: ASCII alone.
    """
    columns = max(min(width, 100) - 12, 20)
    longest = max(map(len, named.values()))
    top = math.ceil(max(0.0, *(float(y.max()) for y in named.values())))
    bottom = max(math.floor(min(-1.0, *(float(y.min()) for y in named.values()))), -DECADES)
    decade = max(ROWS // (top - bottom), 1)  # lines a decade
    height = (top - bottom) * decade + 1
    lags = 2.0 ** np.linspace(0, math.log2(longest), columns) - 1
    grid = [[(" ", "")] * columns for _ in range(height)]
    legend = [Text(MARGIN)]
    for index, (label, y) in enumerate(named.items()):
        symbol = (PLAIN_SYMBOLS if plain else SYMBOLS)[index % len(SYMBOLS)]
        color = COLORS.get(cell_name(label), OTHER_COLORS[index % len(OTHER_COLORS)])
        rows = np.rint((top - np.interp(lags, np.arange(len(y)), y)) * decade).astype(int)
        before = rows[0]
        for column, row in enumerate(rows):
            if lags[column] > len(y) - 1 + 1e-9 or before >= height:
                break
            for filled in range(min(before + 1, row), min(row, height - 1) + 1):  # a steep line has no gaps
                grid[filled][column] = (symbol, color)
            before = row
        if len(legend[-1]) > len(MARGIN) and len(legend[-1]) + len(label) + 2 > width:
            legend.append(Text(MARGIN))
        legend[-1].append(f"{symbol} ", color).append(f"{label}   ")
    bar, tick = ("|", "+") if plain else ("│", "┤")
    every = 1 if decade > 1 else 2 if top - bottom <= 14 else 4
    marks = {(top - value) * decade: value for value in range(bottom, top + 1) if value % every == 0}
    out = [
        Text.assemble(f"{marks[row]:>4} {tick}" if row in marks else f"     {bar}", *cells)
        for row, cells in enumerate(grid)
    ]
    return [*out, *_lag_axis(columns, longest, plain), *legend]


def _lag_axis(columns: int, longest: int, plain: bool) -> list[Text]:
    """The lower edge with ticks at lags 0, 1, 2, 4, …, as far as their numbers fit."""
    edge, numbers = ["-" if plain else "─"] * columns, [" "] * (columns + 1)
    free = 0
    for lag in [0, *(2**power for power in range(longest.bit_length()))]:
        at = round(math.log2(lag + 1) / math.log2(longest) * (columns - 1))
        if lag < longest and free <= at <= columns - len(str(lag)):
            edge[at] = "+" if plain else "┬"
            numbers[at : at + len(str(lag))] = str(lag)
            free = at + len(str(lag)) + 1
    corner = "+" if plain else "└"
    return [Text(f"     {corner}{''.join(edge)}"), Text(f"{MARGIN}{''.join(numbers)}lag k")]
