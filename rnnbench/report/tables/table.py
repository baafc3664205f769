"""A table as data: raw numbers for machines, formatted entries for people. What it says is decided in `tables`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MISSING = "–"


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    key: str  # names its entries in a row
    title: str  # the header, with the unit
    importance: int = 0  # where space is short the column with the highest number goes first; 0 always stays
    left: bool = False  # words stand left, numbers right


@dataclass(frozen=True)
class Row:
    """A line of a table. raw: the numbers behind it; text: an entry for each column's key; bold: keys set in bold."""

    raw: Mapping[str, Any]
    text: Mapping[str, str]
    bold: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Table:
    """A table, with what must be known to read it."""

    name: str  # what it holds: runs of one kind of task, of all tasks, or timings
    columns: tuple[Column, ...]  # from left to right
    rows: tuple[Row, ...]  # one a group of runs
    references: tuple[Row, ...] = ()  # lines to measure them against (uniform, persistence, …), set below the rows
    notes: tuple[tuple[str, str], ...] = ()  # footnotes, each with the key of the column that it explains
    caption: str = ""  # study, budget, seeds, device, commit, and the command that makes it
    title: str = ""  # what is compared in it, in a sentence, to stand above; "" where the study has but one comparison
    # what it says of the runs in the table beside it: comparisons, effects, variance or against; "" of another table
    part: str = ""

    def without_empty_columns(self) -> Table:
        """Less the columns in which no row and no reference has an entry, the notes on them, and empty notes."""
        lines = (*self.rows, *self.references)
        filled = {key for line in lines for key, entry in line.text.items() if entry not in ("", MISSING)}
        columns = tuple(column for column in self.columns if column.key in filled)
        keys = {column.key for column in columns}
        notes = tuple((key, sentence) for key, sentence in self.notes if key in keys and sentence)
        return dataclasses.replace(self, columns=columns, notes=notes)


def number(value: float | None, digits: int = 4) -> str:
    """A number to so many significant digits, without exponents where it is readable: 2.213, 15 300, 3.1e-07, ∞."""
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if exponent < -4 or exponent > 9:
        return f"{value:.{max(digits - 2, 0)}e}"
    places = digits - 1 - exponent
    return f"{round(value, places):,.{max(places, 0)}f}".replace(",", "\u202f")  # a narrow no-break space


def count(value: float | None) -> str:
    """A whole number in full (72 192); what is none (a median between two counts) to three digits."""
    if value is None or not float(value).is_integer():
        return number(value, 3)
    return f"{value:,.0f}".replace(",", "\u202f")


def percent(share: float | None, form: str = ".0f") -> str:
    """``12 %``; a share of nothing, or none, is missing."""
    return f"{100 * share:{form}} %" if share else MISSING


def lag(value: float | None, last: float | None) -> str:
    """A lag in full; one beyond the last that was measured is censored: ``≥ 255``."""
    if value is not None and math.isinf(value):
        return f"≥ {count(last)}" if last is not None else "∞"
    return count(value)


def exponent(values: Sequence[float], shown: str) -> str:
    """``shown``, of the Lyapunov exponents of some seeds; but where all, or some, are −∞ that is said."""
    lost = [value == -math.inf for value in values]
    text = "−∞" if all(lost) else "−∞ for some" if any(lost) else shown
    return text.replace("-", "−")


def _decimals(half_width: float) -> int | None:
    """So many that half of an interval has two digits; None where it has no size."""
    if half_width <= 0 or not math.isfinite(half_width):
        return None
    return min(max(1 - math.floor(math.log10(half_width)), 0), 6)


def with_interval(mean: float, half_width: float) -> str:
    """``2.213 ± 0.012``: the half-width to two digits, the mean to the same decimals."""
    if (n := _decimals(half_width)) is None:
        return number(mean)
    return f"{mean:.{n}f} ± {half_width:.{n}f}"


def with_range(middle: float, low: float, high: float) -> str:
    """``2.213 (2.201 – 2.225)``: to so many decimals that half of the interval has two digits."""
    if (n := _decimals((high - low) / 2)) is None:
        return number(middle)
    return f"{middle:.{n}f} ({low:.{n}f} – {high:.{n}f})".replace("-", "−")


def with_points(mean: float, values: tuple[float, ...], show: Callable[[float], str] = number) -> str:
    """``2.213 (2.201 2.225)``: the mean, and each seed's value where there are at least two."""
    if len(values) < 2:
        return show(mean)
    return f"{show(mean)} ({' '.join(show(value) for value in sorted(values))})"


def with_ends(middle: float, low: float | None, high: float | None) -> str:
    """``5.53 (5.08–5.95)``."""
    return number(middle, 3) + ("" if low is None or high is None else f" ({number(low, 3)}–{number(high, 3)})")


def listed(items: Sequence[str], most: int = 5) -> str:
    """``a, b, c and 2 more``."""
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")
