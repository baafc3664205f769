"""From a file to a table, whatever its format: delimited text, Parquet, an Excel workbook."""

from __future__ import annotations

import datetime
import importlib.util
import io
from typing import Any

import numpy as np
import pandas as pd

from rnnbench.data.files import ReadingNotes, plural
from rnnbench.data.files.content import is_workbook, read_content
from rnnbench.data.series.table import MISSING, UserTable, distinct
from rnnbench.data.series.table.delimited import read_delimited
from rnnbench.errors import UserError


def read_table(path: str, encoding: str | None, wanted: str | list[str] | None, notes: ReadingNotes) -> UserTable:
    """The table in a file of a format that its content tells; ``wanted`` is what data.column asks for.

    Raises:
        UserError: It cannot be read, or what it means cannot be known.
    """
    content = read_content(path)
    if content.compression:
        notes.read.append(content.compression + (f", the file {content.member!r} in it" if content.member else ""))
    if content.data[257:262] == b"ustar":
        raise UserError(f"data.path {path!r} is a tar archive; unpack it and name one of its files.")
    if content.data.startswith(b"PAR1"):
        return _parquet(path, content.data, wanted, notes)
    if is_workbook(content.data):
        return _workbook(path, content.data, wanted, notes)
    if content.data.startswith(b"\xd0\xcf\x11\xe0"):
        raise UserError(f"data.path {path!r} is a workbook of old Excel (.xls); save it as .xlsx or as CSV.")
    table = read_delimited(path, content.data, encoding, wanted, notes)
    notes.read.append(_size(table.frame))
    return table


def _size(frame: pd.DataFrame) -> str:
    return f"{plural(len(frame), 'row')}, {plural(frame.shape[1], 'column')}"


def _needed(path: str, what: str, package: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise UserError(f"data.path {path!r} is {what}, and {package} reads these: pip install {package}")


def _parquet(path: str, data: bytes, wanted: str | list[str] | None, notes: ReadingNotes) -> UserTable:
    _needed(path, "a Parquet file", "pyarrow")
    try:
        frame = pd.read_parquet(io.BytesIO(data), engine="pyarrow")
    except (OSError, ValueError) as error:  # pyarrow's own errors are both
        raise UserError(f"data.path {path!r} is a damaged Parquet file ({str(error).splitlines()[0]}).") from None
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index()
    for name, column in frame.items():
        if isinstance(column.dtype, pd.PeriodDtype):
            frame[name] = column.dt.to_timestamp()
        elif pd.api.types.is_timedelta64_dtype(column):
            frame[name] = column.dt.total_seconds()
        elif column.dtype == object and column.map(lambda cell: isinstance(cell, list | dict | np.ndarray)).any():
            frame[name] = column.astype(str)
    frame.columns = pd.Index(distinct(path, [str(name).strip() for name in frame.columns], wanted, notes))
    if frame.empty:
        raise UserError(f"data.path {path!r} has no rows; name a file with data.")
    notes.read.append(f"Parquet, {_size(frame)}")
    return UserTable(path, frame, lambda row: f"row {row + 1}", False, data)


def _workbook(path: str, data: bytes, wanted: str | list[str] | None, notes: ReadingNotes) -> UserTable:
    """The sheet with the most numbers, from its header on."""
    _needed(path, "an Excel workbook", "openpyxl")
    try:
        with pd.ExcelFile(io.BytesIO(data), engine="openpyxl") as book:
            pages = [sheet.title for sheet in book.book.worksheets]  # and not the charts
            sheets = book.parse(pages, header=None, dtype=object, keep_default_na=False)
    except Exception as error:  # openpyxl lets through whatever the file makes it run into
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"data.path {path!r} is an Excel workbook that cannot be read ({reason}).") from None
    tables = {name: sheet for name, sheet in sheets.items() if len(sheet) > 1}
    if not tables:
        raise UserError(f"data.path {path!r} is a workbook without a row of data; name a file with data.")
    name, sheet = max(tables.items(), key=lambda item: int(item[1].map(_is_number).sum().sum()))
    sheet = sheet.replace(list(MISSING), np.nan).infer_objects()
    filled = sheet.notna().sum(axis=1).to_numpy()
    start = int((filled >= max(filled.max() - 1, 1)).argmax())
    if filled[start] < filled.max() and start + 1 < len(sheet):
        cells = sheet.iloc[start + 1].dropna()
        if len(cells) == filled.max() and all(isinstance(cell, str) for cell in cells):
            start += 1  # what is above is a title
    if start:
        notes.left_out.append(f"{plural(start, 'row')} at the top of sheet {name!r}")
    for unread in sheets:
        if unread != name:
            notes.left_out.append(f"sheet {unread!r}: the one with the most numbers, {name!r}, is read")
    header = ["" if pd.isna(cell) else _column_name(cell) for cell in sheet.iloc[start]]
    if not any(isinstance(cell, str) for cell in sheet.iloc[start]) and not _is_sequence(sheet.iloc[start]):
        header, start = [f"column {at + 1}" for at in range(len(header))], start - 1
        notes.warn("the sheet has no header row: its columns are called by their number")
    names = distinct(path, header, wanted, notes)
    below = sheet.iloc[start + 1 :]
    rows = np.flatnonzero(below.notna().any(axis=1).to_numpy())
    if not len(rows):
        raise UserError(f"data.path {path!r} has a header and no rows; name a file with data.")
    frame = below.iloc[rows[0] : rows[-1] + 1].reset_index(drop=True).infer_objects()
    frame.columns = pd.Index(names)
    skipped = start + 2 + int(rows[0])
    notes.read.append(f"Excel, sheet {name!r}, {_size(frame)}")
    return UserTable(path, frame, lambda row: f"row {skipped + row}", False, data)


def _is_number(cell: Any) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def _column_name(cell: Any) -> str:
    if isinstance(cell, datetime.datetime) and cell.time() == datetime.time():
        return str(cell.date())
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()


def _is_sequence(cells: pd.Series) -> bool:
    """Whether a row of numbers is names: years, or 0, 1, 2."""
    numbers = [cell for cell in cells if not pd.isna(cell)]
    whole = all(isinstance(cell, int) for cell in numbers) and len(numbers) > 1
    return whole and bool((np.diff(np.array(numbers, float)) == 1).all())
