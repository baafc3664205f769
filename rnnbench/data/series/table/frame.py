"""A user's table as it was read, before its columns are given a meaning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from rnnbench.errors import UserError

#: What a column is called that has no name in the header, where R wrote it.
ROW_NAMES = "row names"
#: What stands for a missing value, beside an empty field.
MISSING = (
    "", "NA", "na", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NaN", "nan", "NAN", "Nan", "-nan", "-nan(ind)", "1.#QNAN",
    "-1.#IND", "NULL", "Null", "null", "NONE", "None", "none", "MISSING", "Missing", "missing", "ND", "No Data",
    "no data", "unavailable", "unknown", "NaT", "\\N", "#VALUE!", "#DIV/0!", "#REF!", "#NUM!", "-", "--", "---",
    "?", ".", "..",
)  # fmt: skip


@dataclass(frozen=True)
class Table:
    """Rows and columns of one file.

    Args:
        path: The file, as its user calls it.
        frame: The columns, under distinct names that are texts; NaN where a value is missing.
        place: Where a row stands in the file, for an error: ``line 7`` or ``row 7``.
        decimal_comma: Whether the file as a whole writes 1,5 for one and a half.
        data: The file's bytes.
    """

    path: str
    frame: pd.DataFrame
    place: Callable[[int], str]
    decimal_comma: bool
    data: bytes

    @property
    def names(self) -> list[str]:
        """Of the columns, in order."""
        return [str(name) for name in self.frame.columns]

    def cell(self, row: int, column: str) -> str:
        """``data.path 'x.csv', line 7, column 'load'``, the beginning of an error."""
        return f"data.path {self.path!r}, {self.place(row)}, column {column!r}"


def distinct(path: str, names: list[str], wanted: str | list[str] | None) -> tuple[list[str], list[str]]:
    """The names of columns made distinct, and a sentence for each name that stood twice.

    Raises:
        UserError: The column that is asked for is one of these.
    """
    out, sentences = [], []
    for at, name in enumerate(names):
        if names.count(name) == 1 and name:
            out.append(name)
            continue
        asked = [*wanted.split(","), wanted] if isinstance(wanted, str) else wanted or []
        if name and name in (one.strip() for one in asked):
            places = [index + 1 for index, other in enumerate(names) if other == name]
            raise UserError(
                f"data.path {path!r} has {len(places)} columns named {name!r} (columns "
                f"{', '.join(map(str, places))}); give each a name of its own."
            )
        label = f"{name} (column {at + 1})" if name else f"column {at + 1}"
        while label in names or label in out:
            label += "'"
        out.append(label)
        if name and names.index(name) == at:
            sentences.append(f"{names.count(name)} columns are named {name!r}; they are told apart by their place")
    return out, sentences
