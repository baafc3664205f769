"""Texts that are numbers: which style a column writes them in, and what they are."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rnnbench.data.series.table.frame import Table
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


@dataclass(frozen=True)
class Numbers:
    """A column of numbers.

    Args:
        values: (N,) float64, NaN where a value is missing.
        style: One of STYLES; None where the file's own type is a number.
        wrong: (N,) bool, True where there is something that is no number in this style; None where all fits.
    """

    values: np.ndarray
    style: str | None = None
    wrong: np.ndarray | None = None


def to_numbers(column: pd.Series, decimal_comma: bool) -> Numbers | None:
    """A column as numbers; None where most of what it has is none.

    ``1,234`` alone can be read in two ways. Where no field of the column decides, it is a decimal comma in a file that
    has such, and else a thousand.

    Args:
        column: Of a table.
        decimal_comma: Whether the file writes decimal commas elsewhere.
    """
    if pd.api.types.is_bool_dtype(column):
        return None
    if pd.api.types.is_numeric_dtype(column):
        return Numbers(column.to_numpy(dtype=np.float64, na_value=np.nan))
    if pd.api.types.is_datetime64_any_dtype(column):
        return None
    texts = _texts(column)
    known = texts.notna()
    if not known.any():
        return None
    fits = {style: texts.str.fullmatch(pattern).fillna(False).to_numpy(dtype=bool) for style, pattern in STYLES.items()}
    order = list(STYLES)
    thousand = "1.234,5" if decimal_comma else "1,234.5"  # what a group of three digits is, where nothing decides
    order.remove(thousand)
    order.insert(0 if decimal_comma else 1, thousand)
    style = max(order, key=lambda one: (int(fits[one].sum()), -order.index(one)))
    if 2 * fits[style].sum() < known.sum():
        return None
    wrong = known.to_numpy() & ~fits[style]
    values = np.full(len(texts), np.nan)
    values[fits[style]] = _plain(texts[fits[style]], style).astype(np.float64)
    return Numbers(values, style, wrong if wrong.any() else None)


def checked(table: Table, name: str, numbers: Numbers) -> np.ndarray:
    """A column's values, all of them finite or missing.

    Raises:
        UserError: Something in it is no number, or none that is finite.
    """
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
    return numbers.values


def _texts(column: pd.Series) -> pd.Series:
    """Stripped, with a hyphen for the minus sign of typography; numbers of Python's as they are written."""
    return column.where(column.isna(), column.astype(str).str.strip().str.replace(r"^[−–‑]", "-", regex=True)).astype(
        object
    )


def _plain(texts: pd.Series, style: str) -> pd.Series:
    """As Python writes numbers."""
    decimal = style[-2]
    grouping = re.escape(style[1]) if style[1] in ",." else _SPACE if style[1] == " " else ""
    if grouping:
        texts = texts.str.replace(grouping, "", regex=True)
    return texts.str.replace(",", ".") if decimal == "," else texts
