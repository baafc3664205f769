"""A user's table of numbers: CSV and its relatives, Parquet, Excel.

pandas reads it; what it means is decided here, said in the notes, and refused where it cannot be known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from rnnbench.data.files import ReadingNotes
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
class UserTable:
    """Rows and columns of one file, before the columns are given a meaning."""

    path: str  # as its user calls the file
    frame: pd.DataFrame  # columns under distinct names that are texts; NaN where a value is missing
    place: Callable[[int], str]  # where a row stands in the file, for an error: line 7, or row 7
    decimal_comma: bool  # whether the file as a whole writes 1,5 for one and a half
    data: bytes  # the file's

    @property
    def names(self) -> list[str]:
        """Of the columns, in order."""
        return [str(name) for name in self.frame.columns]

    def cell(self, row: int, column: str) -> str:
        """``data.path 'x.csv', line 7, column 'load'``, the beginning of an error."""
        return f"data.path {self.path!r}, {self.place(row)}, column {column!r}"

    def without(self, rows: np.ndarray) -> UserTable:
        """The same but for the rows where (N,) bool is true."""
        if not rows.any():
            return self
        kept = np.flatnonzero(~rows)
        frame = self.frame.iloc[kept].reset_index(drop=True)
        return replace(self, frame=frame, place=lambda row: self.place(kept[row]))


def distinct(path: str, names: list[str], wanted: str | list[str] | None, notes: ReadingNotes) -> list[str]:
    """Names of columns made distinct, with a warning for each that stood twice.

    Raises:
        UserError: One of these is asked for, in ``wanted``.
    """
    asked = [*wanted.split(","), wanted] if isinstance(wanted, str) else wanted or []
    out: list[str] = []
    for at, name in enumerate(names):
        if names.count(name) == 1 and name:
            out.append(name)
            continue
        if name and name in (one.strip() for one in asked):
            places = [str(index + 1) for index, same in enumerate(names) if same == name]
            raise UserError(
                f"data.path {path!r} has {len(places)} columns named {name!r} (columns {', '.join(places)}); give each "
                "a name of its own."
            )
        label = f"{name} (column {at + 1})" if name else f"column {at + 1}"
        while label in names or label in out:
            label += "'"
        out.append(label)
        if name and names.index(name) == at:
            notes.warn(f"{names.count(name)} columns are named {name!r}; they are told apart by their place")
    return out
