"""Columns of a user's CSV file. Whatever is wrong with it is a `UserError` of one sentence."""

from __future__ import annotations

import csv
import io
import math
from datetime import datetime

import numpy as np

from rnnbench.data.own_file import decoded, read_file
from rnnbench.data.series.record import Record, chosen, digest, listed
from rnnbench.errors import UserError

#: A column of this name, in any case, is the clock.
CLOCKS = ("date", "time", "datetime", "timestamp")

Rows = list[tuple[int, list[str]]]


def read_csv(path: str, column: str | None, clock: bool = False) -> Record:
    """Columns of a comma-separated file with a header line; its rows are the time steps.

    Args:
        path: The file.
        column: Name of the column, or several separated by commas, or ``all`` numeric ones; the file's only numeric
            one where None.
        clock: Read the time of each row too, ISO 8601 in a column named as one of `CLOCKS`.

    Raises:
        UserError: No such column, not exactly one numeric one, a value that is not a finite number, or no clock.
    """
    data = read_file(path)
    try:
        reader = csv.reader(io.StringIO(decoded(path, data).removeprefix("\ufeff"), newline=""))
        header = [name.strip() for name in next(reader, [])]
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise UserError(f"data.path {path!r} is not a CSV file ({error}).") from None
    while rows and not "".join(rows[-1][1]).strip():  # blank lines at the end
        rows.pop()
    places = _places(path, header, [row for _, row in rows[:20]], column)
    values = np.stack([_numbers(path, header, rows, at) for at in places], axis=1)
    columns = tuple(header[at] for at in places)
    return Record(values, columns, digest(data, columns), _clock(path, header, rows) if clock else None)


def _places(path: str, header: list[str], rows: list[list[str]], column: str | None) -> list[int]:
    """Indices of the columns asked for; a column counts as numeric where most of its first values are."""
    if column is not None and (column != "all" or column in header):
        return chosen(column, header, repr(path))
    numeric = [
        at
        for at in range(len(header))
        if 2 * sum(at < len(row) and _number(row[at]) is not None for row in rows) > len(rows)
    ]
    if not numeric or (column is None and len(numeric) > 1):
        names = listed([header[at] for at in numeric] or header)
        which = f"{len(numeric)} numeric columns, {names}" if numeric else f"no numeric column among {names}"
        raise UserError(f"data.path {path!r} has {which}; name what to forecast with data.column.")
    if any(_number(header[at]) is not None for at in numeric):
        raise UserError(f"data.path {path!r} has no header line but {','.join(header)[:60]!r} as its first; add names.")
    return numeric


def _numbers(path: str, header: list[str], rows: Rows, at: int) -> np.ndarray:
    values = np.empty(len(rows))
    for index, (line, row) in enumerate(rows):
        field = row[at] if at < len(row) else ""
        number = _number(field)
        if number is None:
            raise UserError(
                f"data.path {path!r}, line {line}, column {header[at]!r}: expected a finite number, got "
                f"{field[:40]!r}; fill it in or remove the line."
            )
        values[index] = number
    return values


def _clock(path: str, header: list[str], rows: Rows) -> np.ndarray:
    at = next((at for at, name in enumerate(header) if name.lower() in CLOCKS), None)
    if at is None:
        raise UserError(
            f"data.time_features needs a column named {', '.join(CLOCKS[:-1])} or {CLOCKS[-1]}, and {path!r} has "
            f"{listed(header)}; name the one with the time so, or leave data.time_features out."
        )
    times = np.empty(len(rows), dtype="datetime64[s]")
    for index, (line, row) in enumerate(rows):
        field = row[at].strip().removesuffix("Z") if at < len(row) else ""
        try:
            time: datetime | None = datetime.fromisoformat(field)
        except ValueError:
            time = None
        if time is None or time.tzinfo is not None:
            raise UserError(
                f"data.path {path!r}, line {line}, column {header[at]!r}: expected a time such as 2026-01-31 or "
                f"2026-01-31 18:30, without a zone, got {field[:40]!r}; write it so or leave data.time_features out."
            )
        times[index] = time
    return times


def _number(text: str) -> float | None:
    """The finite number that the text is, or None (Python's own 1_000 is not one)."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None
