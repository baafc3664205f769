"""Which columns are forecast, and the numbers that they write."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rnnbench.data.files import ReadingNotes, plural
from rnnbench.data.series.record import chosen, listed
from rnnbench.data.series.table import ROW_NAMES, UserTable
from rnnbench.errors import UserError

_EXPONENT = r"(?:[eE][+-]?\d+)?"
_SPACE = "[ \\u00a0\\u202f\\u2009'\u2019]"
#: Styles of numbers by preference; in each group of digits that stands for thousands there are three.
STYLES = {
    "1234.5": rf"[+-]?(?:\d+\.?\d*|\.\d+){_EXPONENT}",
    "1234,5": rf"[+-]?(?:\d+,?\d*|,\d+){_EXPONENT}",
    "1,234.5": r"[+-]?(?:[1-9]\d{0,2}(?:,\d{3})+|\d{1,3})(?:\.\d*)?",
    "1.234,5": r"[+-]?(?:[1-9]\d{0,2}(?:\.\d{3})+|\d{1,3})(?:,\d*)?",
    "1 234.5": rf"[+-]?(?:[1-9]\d{{0,2}}(?:{_SPACE}\d{{3}})+|\d{{1,3}})(?:\.\d*)?",
    "1 234,5": rf"[+-]?(?:[1-9]\d{{0,2}}(?:{_SPACE}\d{{3}})+|\d{{1,3}})(?:,\d*)?",
}
#: Rows below the header that may belong to it, with units say.
BELOW = 3
#: A number with something before or behind it that is not part of one.
UNIT = re.compile(r"\D{0,3}\s?[+-]?\d[\d.,]*\s?[^\d\s:/.-]{1,4}|[€$£¥]\s?[+-]?\d[\d.,]*")
#: Values that stand for "not measured" in many a record, beside all that are written with nines alone.
SENTINELS = (-1.0, -200.0, 32767.0, -32768.0, 65535.0, 1e20, 1e30, -1e30, 1e34, -1e34)
_NINES = re.compile(r"-?9+(\.9+)?|-?9\.96921e\+36")
#: Kinds of them that are looked for in a column.
MARKS = 4
#: By how much, relatively, the steps of a column that counts may differ: it may be rounded.
RAMP = 1e-3
#: Names of columns that name rows, where they rise.
INDEXES = ("id", "index", "no", "nr", "row", "number", "#", "unnamed: 0", "column 1", "idx", "level_0")


@dataclass(frozen=True)
class Numbers:
    """A column of numbers."""

    values: np.ndarray  # (N,) float64, NaN where a value is missing
    style: str | None = None  # one of STYLES; None where the file's own type is a number
    wrong: np.ndarray | None = None  # (N,) bool, True where something is no number in this style; None where all fits


def series(
    table: UserTable, column: str | list[str] | None, used: Sequence[str], notes: ReadingNotes
) -> tuple[list[str], np.ndarray]:
    """C names of columns to forecast and (N, C) float64, NaN where a value is missing.

    Args:
        table: All columns.
        column: data.column: a name, several separated by commas, ``all``, or None for the only one that can be meant;
            or a list of names.
        used: Columns that are the clock or say whose row it is.
        notes: Which columns are left out, and why, is added to them.

    Raises:
        UserError: No such column, not exactly one where none is named, or a value that is no finite number.
    """
    names = table.names
    free = [name for name in names if name not in used]
    numbers = {name: _numbers(table.frame[name], table.decimal_comma) for name in free}
    if column is not None and (column != "all" or column in names):
        asked = [column] if isinstance(column, str) else column
        picked = [names[at] for one in asked for at in chosen(one, names, repr(table.path))]
        for name in picked:
            if name in used:
                raise UserError(
                    f"data.column {name!r} is the clock of {table.path!r}, or whose row it is; name another."
                )
            if numbers[name] is None:
                usable = [one for one in free if numbers[one] is not None]
                raise UserError(
                    f"data.column {name!r} of {table.path!r} is no column of numbers but has {_example(table, name)}; "
                    + (f"name one of {listed(usable)}." if usable else "take out what is no part of the numbers.")
                )
            if reason := _no_series(table, name, numbers[name]):
                notes.warn(f"column {name!r} is forecast because it is asked for: {reason}")
    else:
        reasons = {name: _no_series(table, name, numbers[name]) for name in free}
        picked = [name for name in free if not reasons[name]]
        if not picked:
            why = "; ".join(f"{name!r}: {reason}" for name, reason in list(reasons.items())[:5])
            raise UserError(
                f"data.path {table.path!r} has no numeric column among {listed(names)} to forecast ({why}); one that "
                "counts is forecast where data.column names it."
            )
        if column is None and len(picked) > 1:
            raise UserError(
                f"data.path {table.path!r} has {len(picked)} numeric columns, {listed(picked)}; name what to forecast "
                "with data.column, or give all."
            )
        notes.left_out.extend(f"column {name!r}: {reason}" for name, reason in reasons.items() if reason)
    values = np.empty((len(table.frame), len(picked)))
    for at, name in enumerate(picked):
        read = numbers[name]
        assert read is not None
        _refuse_wrong(table, name, read)
        values[:, at] = read.values
        if read.style not in (None, "1234.5"):
            notes.read.append(f"column {name!r} is written as {read.style}")
        _warn_of_sentinels(name, read.values, notes)
    return picked, values


def _numbers(column: pd.Series, decimal_comma: bool) -> Numbers | None:
    """A column as numbers; None where most of its values are none.

    ``1,234`` alone can be read in two ways. Where no field of the column decides, it is a decimal comma in a file that
    has such elsewhere, and else a thousand.
    """
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        return None
    if pd.api.types.is_numeric_dtype(column):
        return Numbers(column.to_numpy(dtype=np.float64, na_value=np.nan))
    # stripped, with a hyphen for the minus sign of typography; numbers of Python's as they are written
    texts = column.astype(str).str.strip().str.replace(r"^[−–‑]", "-", regex=True)
    texts = column.where(column.isna(), texts).astype(object)
    known = texts.notna().to_numpy()
    if not known.any():
        return None
    fits = {style: texts.str.fullmatch(pattern).fillna(False).to_numpy(dtype=bool) for style, pattern in STYLES.items()}
    order = list(STYLES)
    thousand = "1.234,5" if decimal_comma else "1,234.5"  # what a group of three digits is, where nothing decides
    order.remove(thousand)
    order.insert(0 if decimal_comma else 1, thousand)
    style = max(order, key=lambda one: int(fits[one].sum()))  # of equals the first
    if 2 * fits[style].sum() < known.sum():
        return None
    wrong = known & ~fits[style]
    values = np.full(len(texts), np.nan)
    values[fits[style]] = _as_python_writes(texts[fits[style]], style).astype(np.float64)
    return Numbers(values, style, wrong if wrong.any() else None)


def _as_python_writes(texts: pd.Series, style: str) -> pd.Series:
    decimal = style[-2]
    grouping = re.escape(style[1]) if style[1] in ",." else _SPACE if style[1] == " " else ""
    if grouping:
        texts = texts.str.replace(grouping, "", regex=True)
    return texts.str.replace(",", ".") if decimal == "," else texts


def _refuse_wrong(table: UserTable, name: str, numbers: Numbers) -> None:
    """Raises `UserError` where something in a column is no number, or not finite."""
    if numbers.wrong is not None:
        row = int(numbers.wrong.argmax())
        raise UserError(
            f"{table.cell(row, name)}: expected a number such as {numbers.style}, got "
            f"{str(table.frame[name].iloc[row])[:40]!r}; correct it, or leave the field empty and say what to do with "
            "data.missing" + ("; or take out the lines below the header that are no rows." if row < BELOW else ".")
        )
    infinite = np.isinf(numbers.values)
    if infinite.any():
        row = int(infinite.argmax())
        raise UserError(
            f"{table.cell(row, name)}: expected a finite number, got {table.frame[name].iloc[row]!s}; correct it, or "
            "leave the field empty and say what to do with data.missing."
        )


def _example(table: UserTable, name: str) -> str:
    known = table.frame[name].dropna()
    return repr(str(known.iloc[0])[:40]) if len(known) else "nothing in it"


def _no_series(table: UserTable, name: str, numbers: Numbers | None) -> str | None:
    """Why nobody would forecast a column; None where one would."""
    if numbers is None:
        example = _example(table, name)
        unit = UNIT.fullmatch(example[1:-1]) is not None
        return f"{'numbers with a unit, take it out' if unit else 'no numbers'}, its first is {example}"
    known = numbers.values[~np.isnan(numbers.values)]
    if not len(known):
        return "it is empty"
    if numbers.wrong is None and known.min() == known.max():
        return f"it is constant at {known[0]:g}"
    if name == ROW_NAMES:
        return "the names of the rows"
    moves = np.diff(known)
    complete = len(known) == len(numbers.values) > 2 and np.isfinite(known).all()
    if complete and np.allclose(moves, moves.mean(), rtol=RAMP, atol=0):
        return f"it counts the rows, from {known[0]:g} in steps of {moves.mean():g}"
    if name.strip().lower() in INDEXES and len(moves) and (moves > 0).all() and (known == np.floor(known)).all():
        return "it names the rows by rising numbers"
    return None


def _warn_of_sentinels(name: str, values: np.ndarray, notes: ReadingNotes) -> None:
    """Names values that look like a mark for what was not measured: one of SENTINELS, far from all the others."""
    known = values[~np.isnan(values)]
    for _ in range(MARKS):
        extremes = (known.min(), known.max()) if len(known) else ()
        mark = next((value for value in extremes if _is_mark(value, known)), None)
        if mark is None:
            return
        count = int((known == mark).sum())
        notes.warn(
            f"column {name!r} is {mark:g} in {plural(count, 'row')}, far from its other values: if that stands for a "
            "missing value, leave these fields empty and say what to do with data.missing",
            misleading=True,
        )
        known = known[known != mark]


def _is_mark(value: float, known: np.ndarray) -> bool:
    nines = bool(_NINES.fullmatch(f"{value:g}"))
    rest = known[known != value]
    count = len(known) - len(rest)
    if not (nines or value in SENTINELS) or not len(rest) or (count < 2 and not (nines and abs(value) >= 99.9)):
        return False
    spread = float(np.percentile(rest, 95) - np.percentile(rest, 5)) or float(np.ptp(rest)) or 1.0
    return min(abs(value - rest.min()), abs(value - rest.max())) > spread
