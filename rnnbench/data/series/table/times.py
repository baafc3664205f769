"""Which column is the clock, and what time each row has."""

from __future__ import annotations

import datetime
import re
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rnnbench.data.files.notes import Rank, ReadingNotes
from rnnbench.data.series.table.frame import Table
from rnnbench.errors import UserError

#: Names that a column with the time has, in any case.
CLOCKS = (
    "date", "time", "datetime", "timestamp", "time stamp", "date time", "date_time", "ds", "datum", "zeit", "day",
    "month", "year", "period", "epoch", "unix", "unixtime", "unix_time", "unix timestamp", "ts", "recorded_at",
    "created_at", "time (utc)",
)  # fmt: skip
_ISO = re.compile(r"\d{4}-?\d\d(-?\d\d)?([T ]\d\d(:?\d\d(:?\d\d([.,]\d+)?)?)?\s*(Z|[+-]\d\d:?(\d\d)?)?)?")
_ZONE = re.compile(r"\s*(Z|[+-]\d\d:?(\d\d)?)$")
_HOURS = re.compile(r"\d{1,2}:\d\d(:\d\d([.,]\d+)?)?(\s?[AaPp][Mm])?")
#: A day, a month and a year, the year last, and what follows.
_YEAR_LAST = re.compile(r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4}|\d\d)(.*)")
_YEAR_FIRST = re.compile(r"(\d{4})([/.])(\d{1,2})\2(\d{1,2})(.*)")
#: Seconds since 1970 of 1990 and of 2100: what an epoch lies between, in seconds and in thousandths of them.
_EPOCH = (631_152_000, 4_102_444_800)


@dataclass(frozen=True)
class Clock:
    """The time of each row.

    Args:
        columns: The column that says it; two where one has the date and another the time of day.
        instants: (N,) int64, microseconds since 1970 in universal time, or of the file's own zone where it names none;
            a plain number of no known unit is counted in millionths.
        wall: (N,) datetime64[us], what a clock on the wall shows; None where the time is a plain number.
        zoned: Whether the file names zones.
    """

    columns: tuple[str, ...]
    instants: np.ndarray
    wall: np.ndarray | None
    zoned: bool = False


def looks_like_a_time(text: str) -> bool:
    """Whether a text is a date, with or without the time of day."""
    return bool((_ISO.fullmatch(text) and len(text) > 8) or _YEAR_LAST.fullmatch(text) or _YEAR_FIRST.fullmatch(text))


def find_clock(table: Table, date_format: str | None, notes: ReadingNotes) -> Clock | None:
    """The time of each row, from the first column that has it; None where none has.

    Args:
        table: The rows.
        date_format: How texts write it, as strptime has it; ISO 8601 and what cannot be mistaken where None.
        notes: Told which other columns have times too.

    Raises:
        UserError: A column with the time in it can be read in two ways, or has a row that is none.
    """
    named = [name for name in table.names if is_clock_name(name)]
    others = [name for name in table.names if name not in named]
    clocks: list[Clock] = []
    for name in [*named, *others]:
        if any(name in clock.columns for clock in clocks):
            continue
        clock = _clock(table, name, name in named, date_format, bool(clocks))
        if clock is not None:
            clocks.append(clock)
    if not clocks:
        for name in named:
            notes.warn(
                f"column {name!r} is not read as times (its first is {_first(table.frame[name])!r}), so the order of "
                "the rows is taken on trust; if it has times, give data.date_format",
                Rank.MISLEADING,
            )
        return None
    for clock in clocks[1:]:
        notes.left_out.append(f"column {', '.join(map(repr, clock.columns))}: more times; the first column's are used")
    return clocks[0]


def is_clock_name(name: str) -> bool:
    """Whether a column's name says that it has the time, a unit in brackets set aside."""
    plain = re.sub(r"\s*[(\[].*?[)\]]\s*$", "", name.strip().lower())  # a unit
    return plain in CLOCKS or name.strip().lower() in CLOCKS


def _first(column: pd.Series) -> str:
    known = column.dropna()
    return str(known.iloc[0]).strip()[:40] if len(known) else ""


def _clock(table: Table, name: str, named: bool, date_format: str | None, have_one: bool) -> Clock | None:
    column = table.frame[name]
    if pd.api.types.is_bool_dtype(column):
        return None
    if pd.api.types.is_datetime64_any_dtype(column):
        _refuse_missing(table, name, column)
        return _of(name, pd.to_datetime(column, utc=True), column.dt.tz_localize(None), column.dt.tz is not None)
    if pd.api.types.is_numeric_dtype(column):
        return _numeric(table, name, named) if date_format is None or not named else _written(table, name, date_format)
    first = _first(column)
    if not first:
        return None
    if _dates_in_cells(column):  # a workbook's
        column = pd.to_datetime(column, errors="coerce")
        _refuse_missing(table, name, column)
        return _of(name, pd.to_datetime(column, utc=True), column, False)
    if (named or looks_like_a_time(first)) and (hours := _hours_beside(table, name)) is not None:
        return _two_columns(table, name, hours, date_format)
    if date_format is not None and (named or (not have_one and _matches(first, date_format))):
        return _written(table, name, date_format)
    if not looks_like_a_time(first) and not (named and (_guess(first) or _ISO.fullmatch(first))):
        return None
    return _written(table, name, None)


def _of(name: str, instants: pd.Series, wall: pd.Series, zoned: bool) -> Clock:
    microseconds = instants.dt.tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.int64)
    return Clock((name,), microseconds, wall.to_numpy().astype("datetime64[us]"), zoned)


def _numeric(table: Table, name: str, named: bool) -> Clock | None:
    """A column of numbers that is a clock: years, dates as 20240131, seconds since 1970, or any that only rise."""
    column = table.frame[name]
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    known = values[~np.isnan(values)]
    if not len(known) or np.isinf(known).any():
        return None
    whole = bool((known == np.floor(known)).all())
    low, high = float(known.min()), float(known.max())
    texts = column.astype("Int64").astype(str) if whole and max(-low, high) < 1e18 else None
    lowered = name.strip().lower()
    if texts is not None and lowered in ("year", "date", "period", "ds", "datum") and 1500 <= low <= high <= 2500:
        return _written(table, name, "%Y", texts)
    if texts is not None and (named or lowered.endswith("date")) and 19000101 <= low <= high <= 21001231:
        return _written(table, name, "%Y%m%d", texts)
    if texts is not None and named and 190001 <= low <= high <= 210012:
        return _written(table, name, "%Y%m", texts)
    for factor in (1, 10**3, 10**6, 10**9):  # seconds to nanoseconds
        if _EPOCH[0] * factor <= low <= high <= _EPOCH[1] * factor and (named or whole):
            if not named and not _even(known):
                return None
            _refuse_missing(table, name, column)
            times = pd.Series((values * (10**6 / factor)).round().astype(np.int64).astype("datetime64[us]"))
            return _of(name, times, times, True)
    if named and lowered not in ("day", "month", "year", "period"):
        _refuse_missing(table, name, column)
        if max(-low, high) > 1e12:
            return None
        return Clock((name,), np.round(values * 1e6).astype(np.int64), None)
    return None


def _even(values: np.ndarray) -> bool:
    """Whether numbers rise, most of them by as much."""
    rises = np.diff(values)
    return len(rises) > 0 and bool((rises > 0).all()) and float((rises == np.median(rises)).mean()) > 0.5


def _written(table: Table, name: str, date_format: str | None, texts: pd.Series | None = None) -> Clock:
    """Times in a text column; raises `UserError` where one cannot be read, or could be read in two ways."""
    column = table.frame[name] if texts is None else texts
    _refuse_missing(table, name, table.frame[name])
    column = column.astype(str).str.strip()
    first = str(column.iloc[0])
    zoned = False
    if date_format is None:
        if _ISO.fullmatch(first):
            date_format = "ISO8601"
        else:
            date_format = _unmistakable(table, name, column)
    local = column
    if date_format == "ISO8601" and _ZONE.search(first[10:]):
        zoned = True
        local = column.str[:10] + column.str[10:].str.replace(_ZONE, "", regex=True)
    elif "%z" in date_format:
        zoned = True
    wall = _parsed(local, date_format, utc=date_format != "ISO8601" and zoned)
    instants = _parsed(column, date_format, utc=True) if zoned else wall
    wrong = wall.isna() | instants.isna()
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        how = "2026-01-31 18:30" if date_format == "ISO8601" else f"in the form {date_format}"
        raise UserError(
            f"{table.cell(row, name)}: expected a time {how}, got {column.iloc[row][:40]!r}; correct it, say how times "
            "are written with data.date_format, or take the line out where it is a total and no time step."
        )
    return _of(name, instants, wall.dt.tz_localize(None) if wall.dt.tz is not None else wall, zoned)


def _parsed(column: pd.Series, date_format: str, utc: bool) -> pd.Series:
    try:
        return pd.to_datetime(column, format=date_format, errors="coerce", utc=utc)
    except ValueError as error:
        raise UserError(f"data.date_format {date_format!r} is none that strptime knows ({error}).") from None


def _matches(text: str, date_format: str) -> bool:
    return bool(_parsed(pd.Series([text]), date_format, utc=True).notna().all())


def _unmistakable(table: Table, name: str, column: pd.Series) -> str:
    """The format of a column's dates, where they can be read in one way only.

    Raises:
        UserError: The day and the month cannot be told apart.
    """
    first = str(column.iloc[0])
    if match := _YEAR_FIRST.fullmatch(first):
        return f"%Y{match[2]}%m{match[2]}%d{_rest(match[5])}"
    if (match := _YEAR_LAST.fullmatch(first)) is None:
        guess = _guess(first)
        assert guess is not None
        return guess
    mark, year, rest = match[2], "%Y" if len(match[4]) == 4 else "%y", _rest(match[5])
    both = [f"%d{mark}%m{mark}{year}{rest}", f"%m{mark}%d{mark}{year}{rest}"]
    if mark == ".":
        return both[0]  # nobody writes the month first with dots
    parts = column.str.extract(r"^(\d{1,2})[/-](\d{1,2})").astype(float)
    day_first, month_first = bool((parts[0] > 12).any()), bool((parts[1] > 12).any())
    if day_first != month_first:
        return both[0] if day_first else both[1]
    raise UserError(
        f"{table.cell(0, name)}: {first[:40]!r} can be read with the day or the month first; say which with "
        f"data.date_format '{both[0]}' or '{both[1]}'."
    )


def _rest(text: str) -> str:
    """The format of the time of day behind a date."""
    if not text.strip():
        return ""
    lead = text[: len(text) - len(text.lstrip(" T,"))]
    clock = text[len(lead) :]
    half = re.search(r"(\s?)[AaPp][Mm]$", clock)
    colons = clock.count(":")
    seconds = ":%S" + (".%f" if "." in clock else "") if colons > 1 else ""
    return lead + ("%I" if half else "%H") + (":%M" if colons else "") + seconds + (f"{half[1]}%p" if half else "")


def _guess(text: str) -> str | None:
    from pandas.tseries.api import guess_datetime_format

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return guess_datetime_format(text)


def _hours_beside(table: Table, name: str) -> str | None:
    """The column with the time of day, where this one has the date alone."""
    if ":" in _first(table.frame[name]) or not any(mark in _first(table.frame[name]) for mark in "-/."):
        return None
    for other in table.names:
        column = table.frame[other]
        if other == name or not is_clock_name(other) or pd.api.types.is_numeric_dtype(column):
            continue
        if _HOURS.fullmatch(_first(column)):
            return other
    return None


def _two_columns(table: Table, date: str, hours: str, date_format: str | None) -> Clock:
    for name in (date, hours):
        _refuse_missing(table, name, table.frame[name])
    days, times = (table.frame[name].astype(str).str.strip() for name in (date, hours))
    if date_format is None:
        date_format = "%Y-%m-%d" if _ISO.fullmatch(days.iloc[0]) else _unmistakable(table, date, days)
    if _matches(days.iloc[0], date_format):
        date_format += " " + _rest(times.iloc[0])
    joined = Table(table.path, pd.DataFrame({date: days + " " + times}), table.place, False, b"")
    clock = _written(joined, date, date_format)
    return Clock((date, hours), clock.instants, clock.wall, clock.zoned)


def _dates_in_cells(column: pd.Series) -> bool:
    known = column.dropna()
    return len(known) > 0 and isinstance(known.iloc[0], datetime.date)


def _refuse_missing(table: Table, name: str, column: pd.Series) -> None:
    missing = column.isna().to_numpy()
    if missing.any():
        row = int(missing.argmax())
        raise UserError(
            f"{table.cell(row, name)}: the time is missing; fill it in, or take the line out where it is no time step."
        )
