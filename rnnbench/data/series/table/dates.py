"""Times as texts write them: in which format, and what time each row has."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rnnbench.data.series.table import UserTable
from rnnbench.errors import UserError

ISO = re.compile(r"\d{4}-?\d\d(-?\d\d)?([T ]\d\d(:?\d\d(:?\d\d([.,]\d+)?)?)?\s*(Z|UTC|GMT|[+-]\d\d:?(\d\d)?)?)?")
_ZONE = re.compile(r"\s*(Z|UTC|GMT|[+-]\d\d:?(\d\d)?)$")
#: A day, a month and a year, the year last, and what follows; the same, the year first.
_YEAR_LAST = re.compile(r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4}|\d\d)(?!\d)(.*)")
_YEAR_FIRST = re.compile(r"(\d{4})([/.])(\d{1,2})\2(\d{1,2})(.*)")
#: A quarter, month or week of a year.
_PERIOD = re.compile(r"(\d{4})[- ]?([QMW])(\d{1,2})")


@dataclass(frozen=True)
class TimeColumn:
    """The time of each row.

    ``times`` are microseconds since 1970 in universal time, or of the file's own zone where it names none; where the
    time is a plain number, this in millionths of its median step.
    """

    columns: tuple[str, ...]  # that say it
    times: np.ndarray  # (N,) int64
    wall: np.ndarray | None  # (N,) datetime64[us], what a clock on the wall shows; None where the time is a number
    zoned: bool = False  # whether the file names zones
    numbers: np.ndarray | None = None  # (N,) float64, the plain numbers

    def at(self, row: int) -> str:
        """A row's time, for people."""
        return date(self.wall[row]) if self.wall is not None else f"{self.numbers[row]:g}"  # type: ignore[index]


def date(time: np.datetime64) -> str:
    """A time as people write it, without a midnight."""
    return str(pd.Timestamp(time)).removesuffix(" 00:00:00")


def looks_like_a_time(text: str) -> bool:
    """Whether a text is a date, with or without the time of day."""
    if ISO.fullmatch(text) and len(text) > 8:
        return True
    return any(form.fullmatch(text) for form in (_YEAR_LAST, _YEAR_FIRST, _PERIOD))


def time_column(name: str, times: pd.Series, wall: pd.Series | None = None, zoned: bool = False) -> TimeColumn:
    microseconds = times.dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    local = microseconds if wall is None else wall.to_numpy().astype("datetime64[us]")
    return TimeColumn((name,), microseconds.astype(np.int64), local, zoned)


def refuse_missing(table: UserTable, name: str) -> None:
    missing = table.frame[name].isna().to_numpy()
    if missing.any():
        where = table.cell(int(missing.argmax()), name)
        raise UserError(f"{where}: the time is missing; fill it in, or take the line out where it is no time step.")


def written(table: UserTable, name: str, date_format: str | None, texts: pd.Series | None = None) -> TimeColumn:
    """Times in a text column; raises `UserError` where one cannot be read, or could be read in two ways."""
    refuse_missing(table, name)
    column = (table.frame[name] if texts is None else texts).astype(str).str.strip()
    first = str(column.iloc[0])
    if date_format is None and (match := re.fullmatch(r"(.*\d) - \d.*", first)):  # from one time to the next
        column, first = column.str.split(" - ").str[0], match[1]
    if date_format is None and _PERIOD.fullmatch(first):
        column, date_format = _periods(column), "ISO8601"
    late = column.str.contains(r"[T ]24:00(?::00)?$", regex=True)  # the midnight at a day's end, or a minute
    if late.any():
        column = column.where(~late, column.str.replace(r"24:00(:00)?$", r"00:00\1", regex=True))
    if "," in first and date_format in (None, "ISO8601"):
        column = column.str.replace(r"(:\d\d),(\d+)", r"\1.\2", regex=True)
    first = str(column.iloc[0])
    zoned, local = False, column
    if date_format is None:
        date_format = "ISO8601" if ISO.fullmatch(first) else _unmistakable(table, name, column)
    if date_format == "ISO8601" and _ZONE.search(first[10:]):
        zoned = True
        column = column.str.replace(r"\s*(UTC|GMT)$", "Z", regex=True)
        local = column.str[:10] + column.str[10:].str.replace(_ZONE, "", regex=True)
    elif "%z" in date_format:
        zoned = True
        local = column.str.replace(_ZONE, "", regex=True)
    wall = parsed(local, date_format.replace("%z", "").rstrip())
    times = parsed(column, date_format, utc=True) if zoned else wall
    wrong = wall.isna() | times.isna()
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        how = "such as 2026-01-31 18:30" if date_format == "ISO8601" else f"in the form {date_format}"
        zone = " with its zone, as in the rows before" if zoned and wall.notna().iloc[row] else ""
        raise UserError(
            f"{table.cell(row, name)}: expected a time {how}{zone}, got {column.iloc[row][:40]!r}; correct it, say how "
            "times are written with data.date_format, or take the line out where it is a total and no time step."
        )
    late_by = pd.to_timedelta(late.astype(int), unit="D")
    return time_column(name, times + late_by, wall + late_by, zoned)


def parsed(column: pd.Series, date_format: str, utc: bool = False) -> pd.Series:
    """(N,) times, NaT where a text is not a time."""
    try:
        times = pd.to_datetime(column, format=date_format, errors="coerce", utc=utc)
    except ValueError as error:
        if date_format != "ISO8601":
            raise UserError(
                f"data.date_format {date_format!r} is not a format that strptime knows ({error})."
            ) from None
        times = pd.Series(pd.NaT, index=column.index)  # zones in some
        plain = ~column.str[10:].str.contains(_ZONE.pattern.replace("(", "(?:"))
        times = times.where(~plain, pd.to_datetime(column.where(plain), format=date_format, errors="coerce"))
    return times.dt.tz_localize(None) if times.dt.tz is not None and not utc else times


def matches(text: str, date_format: str) -> bool:
    return bool(parsed(pd.Series([text]), date_format, utc=True).notna().all())


def _periods(column: pd.Series) -> pd.Series:
    """The first days of quarters, months and weeks, ISO 8601."""
    fields = column.str.extract(_PERIOD)
    unit, number = fields[1].iloc[0], fields[2]
    if unit == "W":
        weeks = fields[0] + "-W" + number.str.zfill(2) + "-1"
        return pd.to_datetime(weeks, format="%G-W%V-%u", errors="coerce").dt.strftime("%Y-%m-%d").fillna("")
    month = pd.to_numeric(number)
    month = 3 * month - 2 if unit == "Q" else month
    return fields[0] + "-" + month.astype("Int64").astype(str).str.zfill(2) + "-01"


def _unmistakable(table: UserTable, name: str, column: pd.Series) -> str:
    """The format of a column's dates; raises `UserError` where they can be read in more than one way."""
    first = str(column.iloc[0])
    if match := _YEAR_FIRST.fullmatch(first):
        return f"%Y{match[2]}%m{match[2]}%d{time_format(match[5])}"
    if (match := _YEAR_LAST.fullmatch(first)) is None:
        form = guess(first)
        assert form is not None
        return form
    mark, short, rest = match[2], len(match[4]) == 2, time_format(match[5])
    orders: Sequence[str] = ("dmY", "mdY") if mark != "." else ("dmY",)  # nobody writes the month first with dots
    if short:
        orders = [*(order.replace("Y", "y") for order in orders), "ymd"]
    forms = [mark.join(f"%{letter}" for letter in order) + rest for order in orders]
    fitting = [form for form in forms if parsed(column, form).notna().all()]
    if len(fitting) > 1 and short:  # days in order tell
        fitting = [form for form in fitting if _one_way(parsed(column, form))] or fitting
    if len(fitting) < 2 or mark == ".":
        return fitting[0] if fitting else forms[0]
    raise UserError(
        f"{table.cell(0, name)}: {first[:40]!r} can be read in more than one way; say which with data.date_format "
        f"{' or '.join(map(repr, fitting))}."
    )


def _one_way(times: pd.Series) -> bool:
    moves = times.diff().dropna()
    return bool((moves > pd.Timedelta(0)).all() or (moves < pd.Timedelta(0)).all())


def time_format(text: str) -> str:
    """The format of the time of day behind a date."""
    if not text.strip(" ."):
        return text
    lead = text[: len(text) - len(text.lstrip(" T,"))]
    clock = text[len(lead) :]
    half = re.search(r"(\s?)[AaPp][Mm]$", clock)
    colons = clock.count(":")
    seconds = ":%S" + (".%f" if "." in clock else "") if colons > 1 else ""
    return lead + ("%I" if half else "%H") + (":%M" if colons else "") + seconds + (f"{half[1]}%p" if half else "")


def guess(text: str) -> str | None:
    from pandas.tseries.api import guess_datetime_format

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return guess_datetime_format(text)
