"""A measured or computed series as it is before it is cut, and which of its columns are asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rnnbench.data.files.notes import ReadingNotes
from rnnbench.data.source import Part
from rnnbench.errors import UserError

#: The longest hole that is filled, in time steps: 15 minutes of glucose, 90 minutes of sea temperature.
LONGEST_FILLED = 3


@dataclass(frozen=True)
class Record:
    """A series of one or more columns on a grid of time.

    Args:
        values: (N, C) float64 in original units; NaN where nothing was measured.
        columns: What is measured, C names.
        fingerprint: SHA-256 of the file's content and the columns.
        clock: (N,) datetime64, when each row was measured; None where that is not known.
        ends: Rows at which the train, val and test parts end, where a standard split says so; else 70/10/20.
        spans: The rows (start, stop) of which each part consists, where it is more than one stretch of time, in the
            place of ``ends``.
        first: (N,) int64, the first row of the series that each row is of; None where the rows are one series.
        longest_filled: The longest hole that is filled, in time steps; 0 for none.
        period: Seasonal period in time steps, as far as the clock tells it.
        notes: How a user's file was read.
    """

    values: np.ndarray
    columns: tuple[str, ...]
    fingerprint: str
    clock: np.ndarray | None = None
    ends: tuple[int, int, int] | None = None
    spans: dict[Part, list[tuple[int, int]]] | None = None
    first: np.ndarray | None = None
    longest_filled: int = LONGEST_FILLED
    period: int | None = None
    notes: ReadingNotes | None = None

    def parts(self) -> dict[Part, list[tuple[int, int]]]:
        """The rows (start, stop) of which each part consists, in order."""
        if self.spans is not None:
            return self.spans
        size = len(self.values)
        train, val, size = self.ends or (size * 7 // 10, size * 8 // 10, size)
        return {"train": [(0, train)], "val": [(train, val)], "test": [(val, size)]}


def chosen(column: str, columns: Sequence[str], where: str, option: str = "data.column") -> list[int]:
    """Indices of the columns that an option asks for: a name, names separated by commas, or ``all``.

    Raises:
        UserError: A name that is not there, or twice; where: what holds the columns, for the message.
    """
    if column in columns:  # before the commas: a name may hold one
        return [list(columns).index(column)]
    if column == "all":
        return list(range(len(columns)))
    wanted = [name.strip() for name in column.split(",")]
    for name in wanted:
        if name not in columns:
            raise UserError(f"{option} {name!r} is not in {where}; its columns: {listed(columns)}.")
        if wanted.count(name) > 1:
            raise UserError(f"{option} {column!r} names {name!r} twice; name each column once.")
    return [list(columns).index(name) for name in wanted]


def listed(columns: Sequence[str]) -> str:
    """The names in quotes, the first 20 of them."""
    return ", ".join(repr(name) for name in columns[:20]) + (" …" if len(columns) > 20 else "")


def digest(data: bytes, columns: Sequence[str]) -> str:
    """The fingerprint of a file's content and the columns taken from it."""
    hasher = hashlib.sha256(data)
    hasher.update(b"\0" + ",".join(columns).encode())
    return hasher.hexdigest()


def fill(values: np.ndarray, longest: int = LONGEST_FILLED) -> np.ndarray:
    """Holes of up to ``longest`` missing values (NaN) between two known ones, filled on the line between them.

    Args:
        values: (N,) one column.
        longest: In time steps; 0 fills none.
    """
    if not longest:
        return values
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        return values
    out = np.interp(np.arange(len(values)), known, values[known], left=np.nan, right=np.nan)
    holes = np.diff(known) - 1
    for at in np.flatnonzero(holes > longest):
        out[known[at] + 1 : known[at + 1]] = np.nan
    return out


def segments(there: np.ndarray) -> int:
    """Unbroken stretches of (N,) bool, True where a time step is known."""
    return int(there[:1].sum() + (there[1:] & ~there[:-1]).sum())


def each_column(job: Callable[[np.ndarray], float], values: np.ndarray) -> np.ndarray:
    """(C,) results of a job on each column, laid out as if it were alone, so that company does not change a bit."""
    return np.array([job(np.ascontiguousarray(column)) for column in values.T])
