"""The order of a table's rows, and on which step of an even grid of times each of them stands.

A record is in order or it is refused: sorted rows, or rows of several series under one another, mean something else. A
hole in it is no reason to refuse it: the grid has steps without a row there, which no window crosses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from rnnbench.data.files import ReadingNotes, plural
from rnnbench.data.series.record import chosen, listed
from rnnbench.data.series.table import UserTable
from rnnbench.data.series.table.dates import TimeColumn
from rnnbench.errors import UserError

#: Columns that may say whose row it is that are tried two by two.
PAIRED = 6
#: What a last row is called that is no time step.
TOTALS = ("total", "sum", "summe", "gesamt", "somme", "mean", "average", "grand total", "subtotal")

_HOUR, _DAY = 3_600_000_000, 86_400_000_000
#: Names of spacings, in microseconds.
_UNITS = ((_DAY, "day"), (_HOUR, "hour"), (60_000_000, "minute"), (1_000_000, "second"), (1_000, "millisecond"))
#: Share of the differences that must be whole steps, within a tenth of one, for the grid to be one.
REGULAR = 0.9
#: Working days in a row that a holiday takes at most.
HOLIDAYS = 4
#: Share of the rows from which on a day of the week is a working day: a single Saturday does not make one.
WORKED = 0.05
#: Of an uneven record, a difference so many times the median's is a hole.
HOLE = 10


def series_of_rows(table: UserTable, entity: str | None, notes: ReadingNotes) -> tuple[np.ndarray, list[str]]:
    """(N,) int64, which series each row is of, counted as they come, and the columns that say so."""
    if entity is None:
        return np.zeros(len(table.frame), np.int64), []
    names = [table.names[at] for at in chosen(entity, table.names, repr(table.path), "data.entity")]
    keys = table.frame[names]
    missing = keys.isna().any(axis=1).to_numpy()
    if missing.any():
        raise UserError(f"{table.cell(int(missing.argmax()), names[0])}: it is not said whose row this is; fill it in.")
    labels = keys.astype(str).apply(lambda column: column.str.strip())
    codes = labels.groupby(names, sort=False).ngroup().to_numpy()
    examples = labels.drop_duplicates().head(5).agg("/".join, axis=1)
    notes.read.append(f"{int(codes.max()) + 1:,} series, by {listed(names)}: {listed(examples.tolist())}")
    return codes.astype(np.int64), names


def rises(times: np.ndarray, codes: np.ndarray) -> bool:
    """Whether the times of each series only ever go on."""
    order = np.argsort(codes, kind="stable")
    return bool((np.diff(times[order])[np.diff(codes[order]) == 0] > 0).all())


def in_order(
    table: UserTable, clock: TimeColumn | None, codes: np.ndarray, sort: bool, notes: ReadingNotes
) -> tuple[np.ndarray, np.ndarray, TimeColumn | None]:
    """The order of the rows, True where a series begins, and the clock in that order.

    Args:
        table: The rows.
        clock: Their times, if known.
        codes: (N,) which series each row is of.
        sort: Whether rows in another order are sorted, and those that are the same as one before left out.
        notes: What was done is added to them.

    Raises:
        UserError: The rows are in no order that a record can have.
    """
    order = np.argsort(codes, kind="stable")
    if clock is None:
        if sort:
            raise UserError(f"data.sort needs a column with the time, and {table.path!r} has none; leave it out.")
        _look_for_series(table, codes, notes)
        return order, _begins(codes[order]), None
    ways = {"": order}
    if sort:  # turned round first: times that fell back when summer ended would be shuffled by sorting
        backwards = np.arange(len(codes))[::-1]
        ways["rows turned round, the oldest first"] = backwards[np.argsort(codes[backwards], kind="stable")]
        ways["rows sorted by their times"] = np.lexsort((clock.times, codes))
    for done, way in ways.items():
        first, times, changes, what = _begins(codes[way]), clock.times[way], 0, done
        if clock.wall is not None and not clock.zoned:
            times, changes = without_summer_time(times, first)
        moves = np.where(first[1:], 1, np.diff(times))
        if (moves > 0).all():
            break
    else:
        if not sort:
            _refuse(table, clock, order, codes, moves)
        repeated = np.flatnonzero(~first[1:] & (np.diff(times) == 0)) + 1
        same = table.frame.astype(str).iloc[way].duplicated().to_numpy()
        if not same[repeated].all():
            _refuse_repeated(table, clock, way, int(repeated[~same[repeated]][0]), codes)
        notes.left_out.append(f"{plural(int(same.sum()), 'row')} there twice, the same in every column")
        way, first, times = way[~same], first[~same], times[~same]
    if what:
        notes.read.append(what)
    if changes:
        notes.read.append(f"local times with summer time: {plural(changes, 'change')} of the clock put right")
    wall, numbers = (None if each is None else each[way] for each in (clock.wall, clock.numbers))
    return way, first, TimeColumn(clock.columns, times, wall, clock.zoned, numbers)


def _begins(codes: np.ndarray) -> np.ndarray:
    return np.concatenate([[True], np.diff(codes) != 0])


def _refuse(table: UserTable, clock: TimeColumn, order: np.ndarray, codes: np.ndarray, moves: np.ndarray) -> None:
    inside = np.diff(codes[order]) == 0
    repeated = pd.DataFrame({"series": codes[order], "time": clock.times[order]}).duplicated().to_numpy()
    if (moves[inside] < 0).all() and not repeated.any():
        raise UserError(f"data.path {table.path!r} has its newest rows first; give data.sort true to turn it round.")
    if repeated.any() and not (moves[inside] <= 0).all():
        _refuse_repeated(table, clock, order, int(repeated.argmax()), codes)
    row = int((moves <= 0).argmax()) + 1
    before, at = int(order[row - 1]), int(order[row])
    where = f"{table.cell(at, clock.columns[0])}: {clock.at(at)} comes after {clock.at(before)}"
    labels = _labels(table, clock)
    if not codes.any() and (telling := [name for name, series in labels.items() if rises(clock.times, series)]):
        raise UserError(
            f"{where}, where another series begins; say whose row it is with data.entity "
            f"{' or '.join(map(repr, telling))}."
        )
    raise UserError(
        f"{where}, so the rows are not in the order of their times; give data.sort true, unless the clock was set back "
        "there."
    )


def _refuse_repeated(table: UserTable, clock: TimeColumn, order: np.ndarray, row: int, codes: np.ndarray) -> None:
    """An error for a time that is there twice, at ``order[row]``."""
    at = int(order[row])
    where = f"{table.cell(at, clock.columns[0])}: {clock.at(at)}"
    telling = _telling(table, clock) if not codes.any() else []
    if telling:
        raise UserError(
            f"{where} is there again: rows of several series are under one another; say whose row it is with "
            f"data.entity {' or '.join(map(repr, telling))}."
        )
    if table.frame.iloc[order[: row + 1]].astype(str).duplicated().to_numpy()[-1]:
        raise UserError(f"{where} is there twice, the same row; take one out, or give data.sort true, which does so.")
    raise UserError(
        f"{where} is there twice{' for one series' if codes.any() else ''}, with other values: write the times more "
        "exactly, or put one row in the place of these."
    )


def _telling(table: UserTable, clock: TimeColumn) -> list[str]:
    """Columns, or two together, that tell apart the rows of one time: with them, no time is there twice."""
    labels = _labels(table, clock)

    def tells(names: Sequence[str]) -> bool:
        keys = pd.DataFrame({name: labels[name] for name in names} | {"the time": clock.times})
        return not keys.duplicated().any()

    single = [name for name in labels if tells([name])]
    return single or [",".join(pair) for pair in combinations(list(labels)[:PAIRED], 2) if tells(pair)]


def _labels(table: UserTable, clock: TimeColumn) -> dict[str, np.ndarray]:
    """Columns of words or whole numbers that may say whose row it is, and (N,) which of its values each row has."""
    labels = {}
    for name in table.names:
        column = table.frame[name]
        whole = not pd.api.types.is_float_dtype(column) or bool((column.dropna() % 1 == 0).all())
        few = name not in clock.columns and whole and 1 < column.nunique() <= len(column) // 2
        if few and not column.isna().any():
            labels[name] = pd.factorize(column)[0]
    return labels


def _look_for_series(table: UserTable, codes: np.ndarray, notes: ReadingNotes) -> None:
    """Without a clock: warns of a count that begins anew where another column changes, and refuses a total."""
    frame = table.frame
    for name in table.names:
        cell = frame[name].iloc[-1]
        if isinstance(cell, str) and cell.strip().lower().rstrip(":") in TOTALS:
            raise UserError(f"{table.cell(len(frame) - 1, name)}: {cell!r} is no time step; take the line out.")
    if codes.any():
        return
    for name in table.names:
        if not pd.api.types.is_integer_dtype(frame[name]):
            continue
        moves = np.diff(frame[name].to_numpy(np.int64))
        starts = np.flatnonzero(moves < 0) + 1
        if not len(starts) or float((moves == 1).mean()) < 0.8:
            continue
        for label in table.names:
            labels = frame[label].astype(str).to_numpy()
            if label != name and np.array_equal(np.flatnonzero(labels[1:] != labels[:-1]) + 1, starts):
                notes.warn(
                    f"column {name!r} begins anew where {label!r} changes: rows of several series are under one "
                    f"another, and windows cross from one into the next; give data.entity {label!r}",
                    misleading=True,
                )
                return


@dataclass(frozen=True)
class Spacing:
    """How far apart the rows of a record are."""

    steps: np.ndarray  # (N,) int64, the step of the grid on which each row stands; 0 for each series' first row
    name: str  # of one step, for people: 1 hour, 1 month, 1 working day
    period: int | None  # steps of a season (a day of hours, a week of days, a year of months), if known
    even: bool = True  # whether the rows are evenly spaced (but for holes) at all
    between: int = 0  # rows less than half a step behind the one before; each is taken for a step of its own
    holidays: int = 0  # working days without a row that are none of the steps


def spacing(times: np.ndarray, wall: np.ndarray | None, first: np.ndarray) -> Spacing:
    """The grid of (N,) int64 times in microseconds, which rise within each series, and begin one where ``first``."""
    inside = ~first[1:]
    if not inside.any():
        return Spacing(np.zeros(len(times), np.int64), "a single row", None)
    if wall is not None:
        calendar = _months(wall, first) or _working_days(wall, first)
        if calendar is not None:
            return calendar
    moves = np.diff(times)
    step = float(np.median(moves[inside]))
    counts = np.rint(moves / step).astype(np.int64)
    off = np.abs(moves / step - counts)[inside]
    even = bool(((off <= 0.1) & (counts[inside] >= 1)).mean() >= REGULAR)
    between = int((counts[inside] < 1).sum()) if even else 0
    counts = np.maximum(counts, 1) if even else np.where(moves > HOLE * step, counts, 1)
    rows = summed(counts, first)
    if wall is None:
        return Spacing(rows, f"{step / 1e6:g}", None, even)
    return Spacing(rows, _step_name(step), _season(step) if even and not between else None, even, between)


def summed(moves: np.ndarray, first: np.ndarray) -> np.ndarray:
    """(N,) sums of what is between neighbours, (N − 1,), from 0 at each series' first row."""
    total = np.concatenate([[0], np.cumsum(moves)])
    starts = np.flatnonzero(first)
    return total - np.repeat(total[starts], np.diff([*starts, len(first)]))


def _months(wall: np.ndarray, first: np.ndarray) -> Spacing | None:
    """A grid of months (so of quarters and years): each row on the same day of its month, or on its last."""
    months, days = wall.astype("datetime64[M]"), wall.astype("datetime64[D]")
    day_of_month = days - months.astype("datetime64[D]")
    last = (days + 1).astype("datetime64[M]") != months
    moves = np.diff(months).astype(np.int64)
    inside = moves[~first[1:]]
    if not ((day_of_month == day_of_month[0]).all() or last.all()) or (inside < 1).any():
        return None
    unit = int(np.median(inside))
    if (np.rint(inside / unit) < 1).any():
        return None
    names = {1: ("1 month", 12), 3: ("1 quarter", 4), 12: ("1 year", None)}
    name, period = names.get(unit, (f"{unit} months", 12 // unit if 12 % unit == 0 and unit < 12 else None))
    return Spacing(summed(np.rint(moves / unit).astype(np.int64), first), name, period)


def _working_days(wall: np.ndarray, first: np.ndarray) -> Spacing | None:
    """A grid of the days of a week of five or six days; up to HOLIDAYS of them without a row are none of its steps."""
    days = wall.astype("datetime64[D]")
    inside = ~first[1:]
    moves = np.diff(days).astype(np.int64)[inside]
    if (moves < 1).any() or len(days) < 10 or float(np.median(moves)) != 1:
        return None
    if (np.diff(wall - days) != np.timedelta64(0)).any():
        return None
    shares = np.bincount((days.astype(np.int64) + 3) % 7, minlength=7) / len(days)  # Monday first
    week = (shares > WORKED).tolist()
    if not 5 <= sum(week) <= 6:
        return None
    counts = np.busday_count(days[:-1], days[1:], weekmask=week)
    short = (counts > 1) & (counts <= HOLIDAYS + 1) & inside
    holidays = int((counts[short] - 1).sum())
    counts = np.where(short, 1, np.maximum(counts, 1))
    return Spacing(summed(counts, first), "1 working day", sum(week), holidays=holidays)


def without_summer_time(times: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, int]:
    """Local times as if no clock were ever put forward or back, and how often one was.

    Where summer time ends, an hour (on Lord Howe half of one) is there twice: the times fall back by so much less than
    a step, from Friday to Monday, in March, April or from September to November. Times that never do so are left alone.
    They are (N,) int64 microseconds, and each series begins where ``first``.
    """
    moves, inside = np.diff(times), ~first[1:]
    rising = moves[inside & (moves > 0)]
    step = float(np.median(rising)) if len(rising) else 0.0
    if not 0 < step < _DAY:
        return times, 0
    days = times[1:].astype("datetime64[us]").astype("datetime64[D]")
    weekend = np.isin((days.astype(np.int64) + 4) % 7, (5, 6, 0, 1))  # Friday to the Monday after midnight
    season = np.isin(days.astype("datetime64[M]").astype(np.int64) % 12, (2, 3, 8, 9, 10))
    jumps = np.where(inside & weekend & season, moves - np.int64(step), 0)
    jumps[~np.isin(np.abs(jumps), (_HOUR, _HOUR // 2))] = 0
    back = np.flatnonzero(jumps < 0)
    series = np.cumsum(first)[1:][back]
    apart = np.diff(times[1:][back])[np.diff(series) == 0]
    if not len(back) or (apart < 100 * _DAY).any():
        return times, 0
    return times - summed(jumps, first), int((jumps != 0).sum())


def _step_name(step: float) -> str:
    for unit, name in _UNITS:
        if step >= unit:
            count = step / unit
            return f"{count:g} {name}" if count == 1 else f"{count:.6g} {name}s"
    return f"{step:g} microseconds"


def _season(step: float) -> int | None:
    """A week of days, a day of anything shorter of which a whole number makes up a day."""
    if step == _DAY:
        return 7
    if step == 7 * _DAY:
        return 52
    if step < _DAY and _DAY % step == 0 and _DAY / step <= 1440:
        return int(_DAY // step)
    return None
