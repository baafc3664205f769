"""Which column is the clock, and what time each row has."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from rnnbench.data.files import ReadingNotes
from rnnbench.data.series.table import UserTable
from rnnbench.data.series.table.dates import (
    ISO,
    TimeColumn,
    date,
    guess,
    looks_like_a_time,
    matches,
    parsed,
    refuse_missing,
    time_column,
    time_format,
    written,
)
from rnnbench.errors import UserError

#: Names that a column with the time has, in any case.
CLOCKS = (
    "date", "time", "datetime", "timestamp", "ds", "datum", "zeit", "day", "month", "year", "week", "quarter", "period",
    "epoch", "unix", "unixtime", "ts", "t", "seconds", "elapsed", "recorded", "stamp", "yyyymmdd", "yyyymm",
)  # fmt: skip
#: Of these the ones that hold for a part of a name too, as in trade_date or Open Time.
_PARTS = ("date", "datum", "time", "datetime", "timestamp", "zeit", "stamp", "epoch", "yyyymmdd", "yyyymm", "unix")
#: Names of columns with a part of the time.
_FIELDS = {
    "year": ("year", "yyyy", "yr", "jahr"),
    "month": ("month", "mo", "mon", "monat"),
    "day": ("day", "dy", "dom", "tag"),
    "day of the year": ("doy", "dayofyear", "day_of_year", "julian"),
    "hour": ("hour", "hr", "hh", "stunde"),
    "minute": ("minute", "min", "mi"),
    "second": ("second", "sec"),
}
_HOURS = re.compile(r"\d{1,2}[:.]\d\d([:.]\d\d([.,]\d+)?)?(\s?[AaPp][Mm])?")
#: Seconds since 1970 of 1990 and of 2100: what an epoch lies between, in seconds and in thousandths of them.
_EPOCH = (631_152_000, 4_102_444_800)
#: Digits of a date without marks, and its format.
_DIGITS = {6: "%Y%m", 7: "%Y%j", 8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_DAY = 86_400_000_000


def is_clock_name(name: str) -> bool:
    """Whether a column's name says that it has the time, a unit in brackets set aside."""
    plain = re.sub(r"\s*[(\[<].*?[)\]>]\s*$", "", name.strip().lower().strip("<>"))
    return plain in CLOCKS or any(part in _PARTS for part in re.split(r"[^a-z]+", plain))


def find_clock(
    table: UserTable, date_format: str | None, notes: ReadingNotes, in_order: Callable[[TimeColumn], bool]
) -> tuple[TimeColumn | None, list[str]]:
    """The time of each row, and all columns that have to do with times.

    Of several columns with times the first named so is taken whose times are in order, or else the first.

    Args:
        table: The rows.
        date_format: How texts write it, as strptime has it; ISO 8601 and what cannot be mistaken where None.
        notes: Which other columns have times too is added to them.
        in_order: Whether a clock only ever rises.

    Raises:
        UserError: The only column with times can be read in two ways, or has a row without a time.
    """
    named = [name for name in table.names if is_clock_name(name)]
    fields = _from_fields(table)
    clocks = [] if fields is None else [fields]
    errors: list[tuple[str, UserError]] = []
    for name in [*named, *(name for name in table.names if name not in named)]:
        if any(name in clock.columns for clock in clocks):
            continue
        try:
            clock = _clock(table, name, name in named, date_format)
        except UserError as error:
            errors.append((name, error))
            continue
        if clock is not None:
            clocks.append(clock)
    plain = [clock for clock in clocks if clock.wall is None and (in_order(clock) or len(clock.columns[0]) > 1)]
    clocks = [clock for clock in clocks if clock.wall is not None] or plain  # a column t may be a temperature
    chosen = next((clock for clock in clocks if in_order(clock)), None)
    if chosen is None:
        chosen = clocks[0] if clocks else None
        if errors and (chosen is None or table.names.index(errors[0][0]) < table.names.index(chosen.columns[0])):
            raise errors[0][1]
    if chosen is None:
        if date_format is not None:
            raise UserError(f"data.date_format {date_format!r} fits no column of {table.path!r}; correct it.")
        for name in named:
            notes.warn(
                f"column {name!r} is not read as times (its first is {_first(table.frame[name])!r}), so the order of "
                "the rows is taken on trust; if it has times, give data.date_format",
                misleading=True,
            )
        return None, []
    unused = [name for clock in clocks if clock is not chosen for name in clock.columns if name not in chosen.columns]
    unused += [name for name, _ in errors]
    for name in unused:
        notes.left_out.append(f"column {name!r}: more times; those of {', '.join(map(repr, chosen.columns))} are used")
    if chosen.wall is not None and chosen.wall.max() > np.datetime64(datetime.datetime.now(), "us"):
        notes.warn(f"the times of {chosen.columns[0]!r} reach {date(chosen.wall.max())}, which is yet to come")
    return chosen, [*chosen.columns, *unused]


def _first(column: pd.Series) -> str:
    known = column.dropna()
    return str(known.iloc[0]).strip()[:40] if len(known) else ""


def _clock(table: UserTable, name: str, named: bool, date_format: str | None) -> TimeColumn | None:
    """A column's times; None where it has none."""
    column = table.frame[name]
    if pd.api.types.is_bool_dtype(column) or not column.notna().any():
        return None
    if pd.api.types.is_datetime64_any_dtype(column):
        refuse_missing(table, name)
        local, zoned = column.dt.tz_localize(None), column.dt.tz is not None
        return time_column(name, pd.to_datetime(column, utc=True), local, zoned)
    if pd.api.types.is_numeric_dtype(column):
        return _with_hours(table, name, _numeric(table, name, named, date_format))
    if isinstance(column.dropna().iloc[0], datetime.date):  # a workbook's
        refuse_missing(table, name)
        texts = ~column.map(lambda cell: isinstance(cell, datetime.date))
        if texts.any():
            row = int(texts.to_numpy().argmax())
            raise UserError(
                f"{table.cell(row, name)}: {str(column.iloc[row])[:40]!r} is a text among dates, so that day and month "
                "may have been swapped in others; write all of them in one way."
            )
        return _with_hours(table, name, time_column(name, pd.to_datetime(column)))
    first = _first(column)
    if date_format is not None:
        if not named and not matches(first, date_format):
            return None
        hours = _hours_beside(table, name)
        if hours is not None and not matches(first, date_format):  # of the date and the time of day together
            joined = column.astype(str).str.strip() + " " + table.frame[hours].astype(str).str.strip()
            return replace(written(table, name, date_format, joined), columns=(name, hours))
        return _with_hours(table, name, written(table, name, date_format))
    if not looks_like_a_time(first) and not (named and (guess(first) or ISO.fullmatch(first))):
        return None
    if _HOURS.fullmatch(first) and not named:
        return None
    return _with_hours(table, name, written(table, name, None))


def _numeric(table: UserTable, name: str, named: bool, date_format: str | None) -> TimeColumn | None:
    """A column of numbers that is a clock: dates in digits, seconds since 1970, a workbook's days, or a plain time."""
    values = table.frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
    known = values[~np.isnan(values)]
    if not np.isfinite(known).all():
        return None
    low, high = float(known.min()), float(known.max())
    whole = bool((known == np.floor(known)).all()) and max(-low, high) < 1e18
    digits = _in_digits(table, name, named, date_format, low, high) if whole else None
    if digits is not None or date_format is not None:
        return digits
    times = None
    for factor in (1, 10**3, 10**6, 10**9):  # seconds to nanoseconds
        if _EPOCH[0] * factor <= low <= high <= _EPOCH[1] * factor and (named or _even(np.sort(known))):
            times = (values * (10**6 / factor)).round()
    lowered = name.strip().lower()
    if times is None and any(part in lowered for part in ("epoch", "unix", "timestamp")) and -low < 4e9 and high > 1e6:
        times = (values * 1e6).round()
    zoned = times is not None
    if times is None and "dat" in lowered and 10_000 <= low <= high <= 80_000:
        times = ((values - 25_569) * _DAY).round()  # days since 1899-12-30
    if times is not None:
        refuse_missing(table, name)
        microseconds = times.astype(np.int64)
        return TimeColumn((name,), microseconds, microseconds.astype("datetime64[us]"), zoned)
    if not named or lowered in ("day", "month", "year", "period", "week", "quarter") or len(known) < len(values):
        return None
    moves = np.abs(np.diff(values))
    if not (moves > 0).any():
        return None
    unit = float(np.median(moves[moves > 0])) / 1e6
    return TimeColumn((name,), np.rint((values - low) / unit).astype(np.int64), None, numbers=values)


def _in_digits(
    table: UserTable, name: str, named: bool, date_format: str | None, low: float, high: float
) -> TimeColumn | None:
    """Dates written as whole numbers: 2024, 20240131, 2024013118."""
    column = table.frame[name]
    if column.isna().any():
        return None
    texts = column.astype("Int64").astype(str)
    if date_format is not None:
        return written(table, name, date_format, texts) if parsed(texts, date_format).notna().all() else None
    if 1000 <= low <= high <= 9999:
        fits = name.strip().lower() in ("year", "date", "period", "ds", "datum", "jahr")
        return written(table, name, "%Y", texts) if fits and 1500 <= low <= high <= 2500 else None
    digits = len(texts.iloc[0])
    form = _DIGITS.get(digits)
    if form is None or not bool((texts.str.len() == digits).all()):
        return None
    moves = np.diff(column.to_numpy(np.float64))
    if digits < 8 and not named and (digits == 7 or not ((moves > 0).all() or (moves < 0).all())):
        return None
    if not 1700 <= low // 10 ** (digits - 4) <= high // 10 ** (digits - 4) <= 2200:
        form = "%y%m%d" if digits == 6 else None
    if form is None or not parsed(texts, form).notna().all():
        return None
    return written(table, name, form, texts)


def _even(values: np.ndarray) -> bool:
    """Whether numbers rise, most of them by as much."""
    rises = np.diff(values)
    return len(rises) > 0 and bool((rises > 0).all()) and float((rises == np.median(rises)).mean()) > 0.5


def _with_hours(table: UserTable, name: str, clock: TimeColumn | None) -> TimeColumn | None:
    """A clock of days with the time of day of another column, where there is one."""
    if clock is None or clock.wall is None or (clock.wall != clock.wall.astype("datetime64[D]")).any():
        return clock
    hours = _hours_beside(table, name)
    if hours is None or not bool(pd.Series(clock.times).duplicated().any()):
        return clock
    refuse_missing(table, hours)
    passed = _time_of_day(table.frame[hours])
    if passed is None:
        return clock
    return TimeColumn((name, hours), clock.times + passed, clock.wall + passed.astype("timedelta64[us]"), clock.zoned)


def _hours_beside(table: UserTable, name: str) -> str | None:
    """The column with the time of day, beside one with the date alone."""
    for column in table.names:
        named = is_clock_name(column) or column.strip().lower() in (*_FIELDS["hour"], "uhrzeit", "von", "from")
        if column != name and named and _time_of_day(table.frame[column].head(100)) is not None:
            return column
    return None


def _time_of_day(column: pd.Series) -> np.ndarray | None:
    """(N,) int64 microseconds since midnight: 18:30, 6:30 PM, 18.30.00, an hour up to 24, or 1830; None if not."""
    known = column.dropna()
    if not len(known) or pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_bool_dtype(column):
        return None
    if pd.api.types.is_numeric_dtype(column):
        values = np.nan_to_num(column.to_numpy(np.float64, na_value=np.nan))
        largest = float(np.max(known.to_numpy(np.float64)))
        if (values != np.floor(values)).any() or (values < 0).any():
            return None
        if largest <= 24:
            return (values * 3.6e9).astype(np.int64)
        if largest <= 2400 and (values % 100 < 60).all():
            return ((values // 100 * 60 + values % 100) * 6e7).astype(np.int64)
        return None
    texts = column.astype(str).str.strip()
    if not _HOURS.fullmatch(str(texts.iloc[0])):
        return None
    texts = texts.str.replace(r"^(\d{1,2})\.(\d\d)\.(\d\d)$", r"\1:\2:\3", regex=True)
    form = time_format(" " + str(texts.iloc[0])).strip()
    times = pd.to_datetime("1970-01-01 " + texts, format=f"%Y-%m-%d {form}", errors="coerce")
    return None if times.isna().any() else times.to_numpy().astype("datetime64[us]").astype(np.int64)


def _from_fields(table: UserTable) -> TimeColumn | None:
    """A clock from columns with the year, the month, the day, and so on."""
    columns: dict[str, str] = {}
    for field, names in _FIELDS.items():
        for name in table.names:
            if name.strip().lower() in names and pd.api.types.is_numeric_dtype(table.frame[name]):
                columns.setdefault(field, name)
    if "year" not in columns or not {"month", "day of the year"} & set(columns):
        return None
    fields = {field: table.frame[name].to_numpy(np.float64, na_value=np.nan) for field, name in columns.items()}
    if any((field != np.floor(field)).any() for field in fields.values()):  # missing values too
        return None
    year = fields["year"] - 1970
    if not ((year > -470) & (year < 530)).all():
        return None
    if "month" in fields:
        start = (12 * year + fields["month"] - 1).astype(np.int64).astype("datetime64[M]")
        passed = (fields.get("day", np.ones(len(year))) - 1) * _DAY
    else:
        start = year.astype(np.int64).astype("datetime64[Y]")
        passed = (fields["day of the year"] - 1) * _DAY
    for field, unit in (("hour", 3_600_000_000), ("minute", 60_000_000), ("second", 1_000_000)):
        passed = passed + fields.get(field, 0.0) * unit
    wall = start.astype("datetime64[us]") + passed.astype(np.int64).astype("timedelta64[us]")
    return TimeColumn(tuple(columns.values()), wall.astype(np.int64), wall)
