"""The order and the spacing of a record's times: on which step of an even grid each row stands, and what is wrong.

A record is in order or it is refused: sorted rows, or rows of several series under one another, mean something else. A
hole in it is no reason to refuse it: the grid has steps without a row there, which no window crosses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_HOUR, _DAY = 3_600_000_000, 86_400_000_000
#: Names of spacings, in microseconds.
_UNITS = ((_DAY, "day"), (_HOUR, "hour"), (60_000_000, "minute"), (1_000_000, "second"), (1_000, "millisecond"))
#: Share of the differences that must be whole steps, within a tenth of one, for the grid to be one.
REGULAR = 0.9
#: Working days in a row that a holiday takes at most.
HOLIDAYS = 4
#: Share of the rows from which on a day of the week is a working day: a single Saturday is none.
WORKED = 0.05
#: Of an uneven record, a difference so many times the median's is a hole.
HOLE = 10


@dataclass(frozen=True)
class Spacing:
    """How far apart the rows of a record are.

    Args:
        steps: (N,) int64, the step of the grid on which each row stands; 0 for each series' first row.
        name: Of one step, for people: ``1 hour``, ``1 month``, ``1 working day``.
        period: Steps after which a season begins anew: a day of hours, a week of days, a year of months; None where
            there is none that follows from the spacing.
        even: Whether the rows are evenly spaced (but for holes) at all.
        between: Rows less than half a step behind the one before; each is taken for a step of its own.
        holidays: Working days without a row that are none of the steps.
    """

    steps: np.ndarray
    name: str
    period: int | None
    even: bool = True
    between: int = 0
    holidays: int = 0

    @property
    def holes(self) -> int:
        """Places where at least one step has no row."""
        return int((np.diff(self.steps) > 1).sum())

    @property
    def missing(self) -> int:
        """Steps without a row, in all holes together."""
        return int(np.maximum(np.diff(self.steps) - 1, 0).sum())


def spacing(instants: np.ndarray, wall: np.ndarray | None, first: np.ndarray) -> Spacing:
    """The grid of a record in order.

    Args:
        instants: (N,) int64 microseconds, rising within each series.
        wall: (N,) datetime64[us], None where the times are plain numbers.
        first: (N,) bool, True at each series' first row.
    """
    inside = ~first[1:]
    moves = np.diff(instants)
    if not inside.any():
        return Spacing(np.zeros(len(instants), np.int64), "a single row", None)
    if wall is not None:
        for calendar in (_months, _working_days):
            found = calendar(instants, wall, first)
            if found is not None:
                return found
    step = float(np.median(moves[inside]))
    counts = np.rint(moves / step).astype(np.int64)
    off = np.abs(moves / step - counts)[inside]
    even = bool(((off <= 0.1) & (counts[inside] >= 1)).mean() >= REGULAR)
    between = int((counts[inside] < 1).sum()) if even else 0
    if even:
        counts = np.maximum(counts, 1)
    else:
        counts = np.where(moves > HOLE * step, counts, 1)
    rows = _from_counts(np.where(inside, counts, 0), first)
    if wall is None:
        return Spacing(rows, f"{step / 1e6:g}", None, even)
    return Spacing(rows, _called(step), _season(step) if even and not between else None, even, between)


def _from_counts(counts: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Counted from 0 in each series, from the steps between neighbours."""
    total = np.concatenate([[0], np.cumsum(counts)])
    starts = np.flatnonzero(first)
    return total - np.repeat(total[starts], np.diff([*starts, len(first)]))


def _months(instants: np.ndarray, wall: np.ndarray, first: np.ndarray) -> Spacing | None:
    """A grid of months (so of quarters and years): each row on the same day of its month, or on its last."""
    months = wall.astype("datetime64[M]").astype(np.int64)
    days = (wall.astype("datetime64[D]") - wall.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64)
    last = (
        (wall.astype("datetime64[M]") + 1).astype("datetime64[D]") - wall.astype("datetime64[D]")
    ).astype(np.int64) == 1  # fmt: skip
    inside = ~first[1:]
    moves = np.diff(months)[inside]
    if not ((days == days[0]).all() or last.all()) or (moves < 1).any():
        return None
    unit = int(np.median(moves))
    counts = np.where(inside, np.rint(np.diff(months) / unit).astype(np.int64), 0)
    if (np.rint(moves / unit) < 1).any():
        return None
    names = {1: ("1 month", 12), 3: ("1 quarter", 4), 12: ("1 year", None)}
    name, period = names.get(unit, (f"{unit} months", 12 // unit if 12 % unit == 0 and unit < 12 else None))
    return Spacing(_from_counts(counts, first), name, period)


def _working_days(instants: np.ndarray, wall: np.ndarray, first: np.ndarray) -> Spacing | None:
    """A grid of the days of a week of five or six days; up to HOLIDAYS of them without a row are none of its steps."""
    days = wall.astype("datetime64[D]")
    inside = ~first[1:]
    moves = np.diff(days).astype(np.int64)
    if (moves[inside] < 1).any() or len(days) < 10 or float(np.median(moves[inside])) != 1:
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
    return Spacing(_from_counts(np.where(inside, counts, 0), first), "1 working day", sum(week), holidays=holidays)


def without_summer_time(instants: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, int]:
    """Local times as if no clock were ever put forward or back, and how often one was.

    Where summer time ends, an hour (on Lord Howe half of one) is there twice: the times fall back by so much less than
    a step, from Friday to Monday, in March, April or from September to November. Times that never do so are left alone.

    Args:
        instants: (N,) int64 microseconds of a zone that is not named.
        first: (N,) bool, True at each series' first row.
    """
    moves, inside = np.diff(instants), ~first[1:]
    rising = moves[inside & (moves > 0)]
    step = float(np.median(rising)) if len(rising) else 0.0
    if not 0 < step < _DAY:
        return instants, 0
    days = instants[1:].astype("datetime64[us]").astype("datetime64[D]")
    weekend = np.isin((days.astype(np.int64) + 4) % 7, (5, 6, 0, 1))  # Friday to the Monday after midnight
    season = np.isin(days.astype("datetime64[M]").astype(np.int64) % 12, (2, 3, 8, 9, 10))
    jumps = np.where(inside & weekend & season, moves - np.int64(step), 0)
    jumps[~np.isin(np.abs(jumps), (_HOUR, _HOUR // 2))] = 0
    back = np.flatnonzero(jumps < 0)
    series = np.cumsum(first)[1:][back]
    apart = np.diff(instants[1:][back])[np.diff(series) == 0]
    if not len(back) or (apart < 100 * _DAY).any():
        return instants, 0
    shift = np.concatenate([[0], np.cumsum(jumps)])
    starts = np.flatnonzero(first)
    return instants - (shift - np.repeat(shift[starts], np.diff([*starts, len(first)]))), int((jumps != 0).sum())


def _called(step: float) -> str:
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
