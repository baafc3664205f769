"""Which column is the clock, and what time each row has."""

from __future__ import annotations

import datetime
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from rnnbench.data.files.notes import Rank, ReadingNotes
from rnnbench.data.series.table.frame import Table
from rnnbench.errors import UserError

#: Names that a column with the time has, in any case.
CLOCKS = (
    "date", "time", "datetime", "timestamp", "ds", "datum", "zeit", "day", "month", "year", "week", "quarter", "period",
    "epoch", "unix", "unixtime", "ts", "t", "seconds", "elapsed", "recorded", "stamp", "yyyymmdd", "yyyymm",
)  # fmt: skip
#: Of these the ones that hold for a part of a name too, as in trade_date or Open Time.
_PARTS = ("date", "datum", "time", "datetime", "timestamp", "zeit", "stamp", "epoch", "yyyymmdd", "yyyymm", "unix")
#: Names of columns with a part of the time: its year, month, day, day of the year, hour, minute, second.
_FIELDS = {
    "year": ("year", "yyyy", "yr", "jahr"),
    "month": ("month", "mo", "mon", "monat"),
    "day": ("day", "dy", "dom", "tag"),
    "day of the year": ("doy", "dayofyear", "day_of_year", "julian"),
    "hour": ("hour", "hr", "hh", "stunde"),
    "minute": ("minute", "min", "mi"),
    "second": ("second", "sec"),
}
_ISO = re.compile(r"\d{4}-?\d\d(-?\d\d)?([T ]\d\d(:?\d\d(:?\d\d([.,]\d+)?)?)?\s*(Z|UTC|GMT|[+-]\d\d:?(\d\d)?)?)?")
_ZONE = re.compile(r"\s*(Z|UTC|GMT|[+-]\d\d:?(\d\d)?)$")
_HOURS = re.compile(r"\d{1,2}[:.]\d\d([:.]\d\d([.,]\d+)?)?(\s?[AaPp][Mm])?")
#: A day, a month and a year, the year last, and what follows; the same, the year first.
_YEAR_LAST = re.compile(r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4}|\d\d)(?!\d)(.*)")
_YEAR_FIRST = re.compile(r"(\d{4})([/.])(\d{1,2})\2(\d{1,2})(.*)")
#: A quarter, month or week of a year.
_PERIOD = re.compile(r"(\d{4})[- ]?([QMW])(\d{1,2})")
#: Seconds since 1970 of 1990 and of 2100: what an epoch lies between, in seconds and in thousandths of them.
_EPOCH = (631_152_000, 4_102_444_800)
#: Digits of a date without marks, and its format.
_DIGITS = {6: "%Y%m", 7: "%Y%j", 8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_DAY = 86_400_000_000


@dataclass(frozen=True)
class Clock:
    """The time of each row.

    Args:
        columns: The columns that say it.
        instants: (N,) int64, microseconds since 1970 in universal time, or of the file's own zone where it names none;
            where the time is a plain number, this in millionths of its median step.
        wall: (N,) datetime64[us], what a clock on the wall shows; None where the time is a plain number.
        zoned: Whether the file names zones.
        numbers: (N,) float64, the plain numbers.
    """

    columns: tuple[str, ...]
    instants: np.ndarray
    wall: np.ndarray | None
    zoned: bool = False
    numbers: np.ndarray | None = None

    def at(self, row: int) -> str:
        """A row's time, for people."""
        return date(self.wall[row]) if self.wall is not None else f"{self.numbers[row]:g}"  # type: ignore[index]

    def rows(self, order: np.ndarray) -> Clock:
        """The same of some rows, in an order."""
        wall, numbers = (None if each is None else each[order] for each in (self.wall, self.numbers))
        return replace(self, instants=self.instants[order], wall=wall, numbers=numbers)


def date(time: np.datetime64) -> str:
    """A time as people write it, without a midnight."""
    return str(pd.Timestamp(time)).removesuffix(" 00:00:00")


def looks_like_a_time(text: str) -> bool:
    """Whether a text is a date, with or without the time of day."""
    return bool(
        (_ISO.fullmatch(text) and len(text) > 8)
        or _YEAR_LAST.fullmatch(text)
        or _YEAR_FIRST.fullmatch(text)
        or _PERIOD.fullmatch(text)
    )


def is_clock_name(name: str) -> bool:
    """Whether a column's name says that it has the time, a unit in brackets set aside."""
    plain = re.sub(r"\s*[(\[<].*?[)\]>]\s*$", "", name.strip().lower().strip("<>"))
    return plain in CLOCKS or any(part in _PARTS for part in re.split(r"[^a-z]+", plain))


def find_clock(
    table: Table, date_format: str | None, notes: ReadingNotes, in_order: Callable[[Clock], bool]
) -> tuple[Clock | None, list[str]]:
    """The time of each row, and all columns that have to do with times.

    Of several columns with times the first named so is taken whose times are in order, or else the first.

    Args:
        table: The rows.
        date_format: How texts write it, as strptime has it; ISO 8601 and what cannot be mistaken where None.
        notes: Told which other columns have times too.
        in_order: Whether a clock only ever rises.

    Raises:
        UserError: The only column with times can be read in two ways, or has a row that is none.
    """
    named = [name for name in table.names if is_clock_name(name)]
    parts = _from_fields(table)
    clocks = [] if parts is None else [parts]
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
                Rank.MISLEADING,
            )
        return None, []
    others = [name for clock in clocks if clock is not chosen for name in clock.columns if name not in chosen.columns]
    others += [name for name, _ in errors]
    for name in others:
        notes.left_out.append(f"column {name!r}: more times; those of {', '.join(map(repr, chosen.columns))} are used")
    if chosen.wall is not None and chosen.wall.max() > np.datetime64(datetime.datetime.now(), "us"):
        notes.warn(f"the times of {chosen.columns[0]!r} reach {date(chosen.wall.max())}, which is yet to come")
    return chosen, [*chosen.columns, *others]


def _first(column: pd.Series) -> str:
    known = column.dropna()
    return str(known.iloc[0]).strip()[:40] if len(known) else ""


def _clock(table: Table, name: str, named: bool, date_format: str | None) -> Clock | None:
    column = table.frame[name]
    if pd.api.types.is_bool_dtype(column) or not column.notna().any():
        return None
    if pd.api.types.is_datetime64_any_dtype(column):
        _refuse_missing(table, name)
        return _of(name, pd.to_datetime(column, utc=True), column.dt.tz_localize(None), column.dt.tz is not None)
    if pd.api.types.is_numeric_dtype(column):
        return _with_hours(table, name, _numeric(table, name, named, date_format))
    if isinstance(column.dropna().iloc[0], datetime.date):  # a workbook's
        _refuse_missing(table, name)
        texts = ~column.map(lambda cell: isinstance(cell, datetime.date))
        if texts.any():
            row = int(texts.to_numpy().argmax())
            raise UserError(
                f"{table.cell(row, name)}: {str(column.iloc[row])[:40]!r} is a text among dates, so that day and month "
                "may have been swapped in others; write all of them in one way."
            )
        times = pd.to_datetime(column)
        return _with_hours(table, name, _of(name, times, times, False))
    first = _first(column)
    if date_format is not None and (named or _matches(first, date_format)):
        hours = _hours_beside(table, name)
        if hours is not None and not _matches(first, date_format):  # of the date and the time of day together
            joined = column.astype(str).str.strip() + " " + table.frame[hours].astype(str).str.strip()
            return replace(_written(table, name, date_format, joined), columns=(name, hours))
        return _with_hours(table, name, _written(table, name, date_format))
    if not looks_like_a_time(first) and not (named and (_guess(first) or _ISO.fullmatch(first))):
        return None
    if date_format is not None or (_HOURS.fullmatch(first) and not named):
        return None
    return _with_hours(table, name, _written(table, name, None))


def _of(name: str, instants: pd.Series, wall: pd.Series, zoned: bool) -> Clock:
    microseconds = instants.dt.tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.int64)
    return Clock((name,), microseconds, wall.to_numpy().astype("datetime64[us]"), zoned)


def _numeric(table: Table, name: str, named: bool, date_format: str | None) -> Clock | None:
    """A column of numbers that is a clock: dates in digits, seconds since 1970, a workbook's days, or a plain time."""
    column = table.frame[name]
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    known = values[~np.isnan(values)]
    if not np.isfinite(known).all():
        return None
    low, high = float(known.min()), float(known.max())
    whole = bool((known == np.floor(known)).all()) and max(-low, high) < 1e18
    written = _in_digits(table, name, named, date_format, low, high) if whole else None
    if written is not None:
        return written
    if date_format is not None:
        return None
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
        _refuse_missing(table, name)
        series = pd.Series(times.astype(np.int64).astype("datetime64[us]"))
        return _of(name, series, series, zoned)
    if not named or lowered in ("day", "month", "year", "period", "week", "quarter") or len(known) < len(values):
        return None
    moves = np.abs(np.diff(values))
    if not (moves > 0).any():
        return None
    unit = float(np.median(moves[moves > 0])) / 1e6
    return Clock((name,), np.rint((values - low) / unit).astype(np.int64), None, numbers=values)


def _in_digits(table: Table, name: str, named: bool, date_format: str | None, low: float, high: float) -> Clock | None:
    """Dates written as whole numbers: 2024, 20240131, 2024013118."""
    column = table.frame[name]
    if column.isna().any():
        return None
    texts = column.astype("Int64").astype(str)
    if date_format is not None:
        return _written(table, name, date_format, texts) if _parsed(texts, date_format).notna().all() else None
    lowered = name.strip().lower()
    if 1000 <= low <= high <= 9999:
        fits = lowered in ("year", "date", "period", "ds", "datum", "jahr") and 1500 <= low <= high <= 2500
        return _written(table, name, "%Y", texts) if fits else None
    digits = len(texts.iloc[0])
    form = _DIGITS.get(digits)
    if form is None or not bool((texts.str.len() == digits).all()):
        return None
    moves = np.diff(column.to_numpy(np.float64))
    if digits < 8 and not named and (digits == 7 or not ((moves > 0).all() or (moves < 0).all())):
        return None
    years = (low // 10 ** (digits - 4), high // 10 ** (digits - 4))
    if not 1700 <= years[0] <= years[1] <= 2200:
        form = "%y%m%d" if digits == 6 else None
    if form is None or not _parsed(texts, form).notna().all():
        return None
    return _written(table, name, form, texts)


def _even(values: np.ndarray) -> bool:
    """Whether numbers rise, most of them by as much."""
    rises = np.diff(values)
    return len(rises) > 0 and bool((rises > 0).all()) and float((rises == np.median(rises)).mean()) > 0.5


def _written(table: Table, name: str, date_format: str | None, texts: pd.Series | None = None) -> Clock:
    """Times in a text column; raises `UserError` where one cannot be read, or could be read in two ways."""
    _refuse_missing(table, name)
    column = (table.frame[name] if texts is None else texts).astype(str).str.strip()
    first = str(column.iloc[0])
    if date_format is None and (match := re.fullmatch(r"(.*\d) - \d.*", first)):  # from one time to the next
        column, first = column.str.split(" - ").str[0], match[1]
    if date_format is None and _PERIOD.fullmatch(first):
        column, date_format = _periods(column), "ISO8601"
    late = column.str.endswith(("24:00", "24:00:00"))  # the midnight at a day's end, or a minute
    if late.any():
        late &= column.str.contains(r"[T ]24:00(?::00)?$", regex=True)
        column = column.where(~late, column.str.replace(r"24:00(:00)?$", r"00:00\1", regex=True))
    if "," in first and date_format in (None, "ISO8601"):
        column = column.str.replace(r"(:\d\d),(\d+)", r"\1.\2", regex=True)
    first = str(column.iloc[0])
    zoned, local = False, column
    if date_format is None:
        date_format = "ISO8601" if _ISO.fullmatch(first) else _unmistakable(table, name, column)
    if date_format == "ISO8601" and _ZONE.search(first[10:]):
        zoned = True
        column = column.str.replace(r"\s*(UTC|GMT)$", "Z", regex=True)
        local = column.str[:10] + column.str[10:].str.replace(_ZONE, "", regex=True)
    elif "%z" in date_format:
        zoned = True
        local = column.str.replace(_ZONE, "", regex=True)
    wall = _parsed(local, date_format.replace("%z", "").rstrip())
    instants = _parsed(column, date_format, utc=True) if zoned else wall
    wrong = wall.isna() | instants.isna()
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        how = "such as 2026-01-31 18:30" if date_format == "ISO8601" else f"in the form {date_format}"
        zone = " with its zone, as in the rows before" if zoned and wall.notna().iloc[row] else ""
        raise UserError(
            f"{table.cell(row, name)}: expected a time {how}{zone}, got {column.iloc[row][:40]!r}; correct it, say how "
            "times are written with data.date_format, or take the line out where it is a total and no time step."
        )
    late_by = pd.to_timedelta(late.astype(int), unit="D")
    return _of(name, instants + late_by, wall + late_by, zoned)


def _parsed(column: pd.Series, date_format: str, utc: bool = False) -> pd.Series:
    """(N,) times, NaT where a text is none."""
    try:
        times = pd.to_datetime(column, format=date_format, errors="coerce", utc=utc)
    except ValueError as error:
        if date_format != "ISO8601":
            raise UserError(f"data.date_format {date_format!r} is none that strptime knows ({error}).") from None
        times = pd.Series(pd.NaT, index=column.index)  # zones in some
        plain = ~column.str[10:].str.contains(_ZONE.pattern.replace("(", "(?:"))
        times = times.where(~plain, pd.to_datetime(column.where(plain), format=date_format, errors="coerce"))
    return times.dt.tz_localize(None) if times.dt.tz is not None and not utc else times


def _matches(text: str, date_format: str) -> bool:
    return bool(_parsed(pd.Series([text]), date_format, utc=True).notna().all())


def _periods(column: pd.Series) -> pd.Series:
    """The first days of quarters, months and weeks, ISO 8601."""
    parts = column.str.extract(_PERIOD)
    kind, number = parts[1].iloc[0], parts[2]
    if kind == "W":
        weeks = parts[0] + "-W" + number.str.zfill(2) + "-1"
        return pd.to_datetime(weeks, format="%G-W%V-%u", errors="coerce").dt.strftime("%Y-%m-%d").fillna("")
    month = pd.to_numeric(number)
    month = 3 * month - 2 if kind == "Q" else month
    return parts[0] + "-" + month.astype("Int64").astype(str).str.zfill(2) + "-01"


def _unmistakable(table: Table, name: str, column: pd.Series) -> str:
    """The format of a column's dates, where they can be read in one way only.

    Raises:
        UserError: The day and the month, or the year, cannot be told apart.
    """
    first = str(column.iloc[0])
    if match := _YEAR_FIRST.fullmatch(first):
        return f"%Y{match[2]}%m{match[2]}%d{_rest(match[5])}"
    if (match := _YEAR_LAST.fullmatch(first)) is None:
        guess = _guess(first)
        assert guess is not None
        return guess
    mark, short, rest = match[2], len(match[4]) == 2, _rest(match[5])
    orders: Sequence[str] = ("dmY", "mdY") if mark != "." else ("dmY",)  # nobody writes the month first with dots
    if short:
        orders = [*(order.replace("Y", "y") for order in orders), "ymd"]
    forms = [mark.join(f"%{letter}" for letter in order) + rest for order in orders]
    fitting = [form for form in forms if _parsed(column, form).notna().all()]
    if len(fitting) > 1 and short:  # days in order tell
        fitting = [form for form in fitting if _one_way(_parsed(column, form))] or fitting
    if len(fitting) < 2 or mark == ".":
        return fitting[0] if fitting else forms[0]
    raise UserError(
        f"{table.cell(0, name)}: {first[:40]!r} can be read in more than one way; say which with data.date_format "
        f"{' or '.join(map(repr, fitting))}."
    )


def _one_way(times: pd.Series) -> bool:
    moves = times.diff().dropna()
    return bool((moves > pd.Timedelta(0)).all() or (moves < pd.Timedelta(0)).all())


def _rest(text: str) -> str:
    """The format of the time of day behind a date."""
    if not text.strip(" ."):
        return text
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


def _with_hours(table: Table, name: str, clock: Clock | None) -> Clock | None:
    """A clock of days with the time of day of another column, where there is one."""
    if clock is None or clock.wall is None or (clock.wall != clock.wall.astype("datetime64[D]")).any():
        return clock
    hours = _hours_beside(table, name)
    if hours is None or not bool(pd.Series(clock.instants).duplicated().any()):
        return clock
    _refuse_missing(table, hours)
    passed = _time_of_day(table.frame[hours])
    if passed is None:
        return clock
    return Clock((name, hours), clock.instants + passed, clock.wall + passed.astype("timedelta64[us]"), clock.zoned)


def _hours_beside(table: Table, name: str) -> str | None:
    """The column with the time of day, beside one with the date alone."""
    for other in table.names:
        plain = other.strip().lower()
        named = is_clock_name(other) or plain in (*_FIELDS["hour"], "uhrzeit", "von", "from")
        if other != name and named and _time_of_day(table.frame[other].head(100)) is not None:
            return other
    return None


def _time_of_day(column: pd.Series) -> np.ndarray | None:
    """(N,) int64 microseconds since midnight: 18:30, 6:30 PM, 18.30.00, an hour up to 24, or 1830; None if not."""
    known = column.dropna()
    if not len(known) or pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_bool_dtype(column):
        return None
    if pd.api.types.is_numeric_dtype(column):
        values = column.to_numpy(np.float64, na_value=np.nan)
        if not (np.nan_to_num(values) == np.floor(np.nan_to_num(values))).all():
            return None
        if np.nanmin(values) >= 0 and np.nanmax(values) <= 24:
            return np.nan_to_num(values * 3.6e9).astype(np.int64)
        if np.nanmin(values) >= 0 and np.nanmax(values) <= 2400 and (np.nan_to_num(values) % 100 < 60).all():
            return np.nan_to_num((values // 100 * 60 + values % 100) * 6e7).astype(np.int64)
        return None
    texts = column.astype(str).str.strip()
    if not _HOURS.fullmatch(str(texts.iloc[0])):
        return None
    texts = texts.str.replace(r"^(\d{1,2})\.(\d\d)\.(\d\d)$", r"\1:\2:\3", regex=True)
    form = _rest(" " + str(texts.iloc[0])).strip()
    times = pd.to_datetime("1970-01-01 " + texts, format=f"%Y-%m-%d {form}", errors="coerce")
    if times.isna().any():
        return None
    return times.to_numpy().astype("datetime64[us]").astype(np.int64)


def _from_fields(table: Table) -> Clock | None:
    """A clock from columns with the year, the month, the day, and so on."""
    columns: dict[str, str] = {}
    for field, names in _FIELDS.items():
        for name in table.names:
            if name.strip().lower() in names and pd.api.types.is_numeric_dtype(table.frame[name]):
                columns.setdefault(field, name)
    if "year" not in columns or not {"month", "day of the year"} & set(columns):
        return None
    parts = {field: table.frame[name].to_numpy(np.float64, na_value=np.nan) for field, name in columns.items()}
    if any(np.isnan(part).any() or (part != np.floor(part)).any() for part in parts.values()):
        return None
    year = parts["year"] - 1970
    if not ((year > -470) & (year < 530)).all():
        return None
    if "month" in parts:
        start = (12 * year + parts["month"] - 1).astype(np.int64).astype("datetime64[M]").astype("datetime64[us]")
        days = parts.get("day", np.ones(len(year))) - 1
    else:
        start = year.astype(np.int64).astype("datetime64[Y]").astype("datetime64[us]")
        days = parts["day of the year"] - 1
    passed = days * _DAY
    for field, unit in (("hour", 3_600_000_000), ("minute", 60_000_000), ("second", 1_000_000)):
        passed = passed + parts.get(field, 0.0) * unit
    wall = start + passed.astype(np.int64).astype("timedelta64[us]")
    return Clock(tuple(columns.values()), wall.astype(np.int64), wall)


def _refuse_missing(table: Table, name: str) -> None:
    missing = table.frame[name].isna().to_numpy()
    if missing.any():
        row = int(missing.argmax())
        raise UserError(
            f"{table.cell(row, name)}: the time is missing; fill it in, or take the line out where it is no time step."
        )
