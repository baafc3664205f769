"""Where series come from: packages and files. Whatever is wrong with them is a `UserError` of one sentence."""

from __future__ import annotations

import csv
import gzip
import hashlib
import importlib.util
import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rnnbench.data.own_file import decoded, read_file
from rnnbench.errors import UserError


@dataclass(frozen=True)
class Record:
    """A measured series on a regular grid of time.

    Args:
        values: (N,) float64 in original units; NaN where nothing was measured.
        column: What is measured.
        fingerprint: SHA-256 of the file's content and the column.
    """

    values: np.ndarray
    column: str
    fingerprint: str


def read_csv(path: str, column: str | None) -> Record:
    """One column of a comma-separated file with a header line; its rows are the time steps.

    Args:
        path: The file.
        column: Name of the column; the file's only numeric one where None.

    Raises:
        UserError: No such column, not exactly one numeric one, or a value that is not a finite number.
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
    at = _column(path, header, [row for _, row in rows[:20]], column)
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
    return Record(values, header[at], _digest(data, header[at]))


def _column(path: str, header: list[str], rows: list[list[str]], column: str | None) -> int:
    """Index of the column asked for, or of the only one that looks numeric (most of its first values are)."""
    if column is not None:
        if column not in header:
            raise UserError(f"data.column {column!r} is not in {path!r}; its columns: {_names(header)}.")
        return header.index(column)
    numeric = [
        at
        for at in range(len(header))
        if 2 * sum(at < len(row) and _number(row[at]) is not None for row in rows) > len(rows)
    ]
    if len(numeric) != 1:
        names = _names([header[at] for at in numeric] or header)
        which = f"{len(numeric)} numeric columns, {names}" if numeric else f"no numeric column among {names}"
        raise UserError(f"data.path {path!r} has {which}; name the one to forecast with data.column.")
    if _number(header[numeric[0]]) is not None:
        raise UserError(f"data.path {path!r} has no header line but {','.join(header)[:60]!r} as its first; add names.")
    return numeric[0]


def read_glucose() -> Record:
    """Glucose in mg/dL every 5 minutes, 2010-03-24 to 2010-10-10."""
    return _sample("CGM.csv.gz", "datetime", "glucose", minutes=5)


def read_sea_temperature() -> Record:
    """Sea-surface temperature in °C every 30 minutes, 2016-02-15 to 2017-03-22."""
    return _sample("sea_surface_temperature.csv.gz", "time (UTC)", "temperature (celsius)", minutes=30)


def _sample(file: str, clock: str, column: str, minutes: int) -> Record:
    """A time-stamped file of bokeh_sampledata on a grid: stamps rounded to it, the first of a slot kept."""
    spec = importlib.util.find_spec("bokeh_sampledata")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"the data set of {file} needs a package: pip install bokeh-sampledata")
    path = Path(spec.submodule_search_locations[0]) / "_data" / file
    try:
        data = gzip.decompress(path.read_bytes())
    except (OSError, EOFError):
        raise UserError(f"{file} is missing or damaged: pip install --force-reinstall bokeh-sampledata") from None
    rows = list(csv.DictReader(io.StringIO(data.decode())))
    stamps = np.array([row[clock].removesuffix("Z") for row in rows], dtype="datetime64[m]").astype(np.int64)
    values = np.array([float(row[column]) for row in rows])
    order = np.argsort(stamps, kind="stable")
    slots, first = np.unique((stamps[order] + minutes // 2) // minutes, return_index=True)
    grid = np.full(slots[-1] - slots[0] + 1, np.nan)
    grid[slots - slots[0]] = values[order][first]
    return Record(grid, column, _digest(data, column))


def _number(text: str) -> float | None:
    """The finite number that the text is, or None (Python's own 1_000 is not one)."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None


def _names(header: list[str]) -> str:
    return ", ".join(repr(name) for name in header[:20]) + (" …" if len(header) > 20 else "")


def _digest(data: bytes, column: str) -> str:
    return hashlib.sha256(data + b"\0" + column.encode()).hexdigest()
