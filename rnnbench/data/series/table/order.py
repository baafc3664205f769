"""The order of a table's rows: series after series, each in the order of its times, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from rnnbench.data.files.notes import Rank, ReadingNotes, plural
from rnnbench.data.series.record import chosen, listed
from rnnbench.data.series.table.frame import Table
from rnnbench.data.series.table.spacing import without_summer_time
from rnnbench.data.series.table.written import TimeColumn
from rnnbench.errors import UserError

#: Columns that may say whose row it is that are tried two by two.
PAIRED = 6
#: What a last row is called that is none.
TOTALS = ("total", "sum", "summe", "gesamt", "somme", "mean", "average", "grand total", "subtotal")


def series_of_rows(table: Table, entity: str | None, notes: ReadingNotes) -> tuple[np.ndarray, list[str]]:
    """(N,) int64, which series each row is of, counted as they come, and the columns that say so.

    Raises:
        UserError: No such column, or a row that is of none.
    """
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


def rises(instants: np.ndarray, codes: np.ndarray) -> bool:
    """Whether the times of each series only ever go on."""
    order = np.argsort(codes, kind="stable")
    return bool((np.diff(instants[order])[np.diff(codes[order]) == 0] > 0).all())


def in_order(
    table: Table, clock: TimeColumn | None, codes: np.ndarray, sort: bool, notes: ReadingNotes
) -> tuple[np.ndarray, np.ndarray, TimeColumn | None]:
    """The order of the rows, True where a series begins, and the clock in that order.

    Args:
        table: The rows.
        clock: Their times, if known.
        codes: (N,) which series each row is of.
        sort: Whether rows in another order are to be sorted, and those that are there twice left out.
        notes: Told what was done.

    Raises:
        UserError: The rows are in no order that a record can have.
    """
    order = np.argsort(codes, kind="stable")
    if clock is None:
        if sort:
            raise UserError(f"data.sort needs a column with the time, and {table.path!r} has none; leave it out.")
        _look_for_series(table, codes, notes)
        return order, _begins(codes[order]), None
    ways = [order]
    if sort:  # turned round first: times that fell back when summer ended would be shuffled by sorting
        ways += [_grouped_backwards(codes), np.lexsort((clock.instants, codes))]
    done = ["", "rows turned round, the oldest first", "rows sorted by their times"]
    for way, sentence in zip(ways, done, strict=False):
        first, instants, changes, what = _begins(codes[way]), clock.instants[way], 0, sentence
        if clock.wall is not None and not clock.zoned:
            instants, changes = without_summer_time(instants, first)
        moves = np.where(first[1:], 1, np.diff(instants))
        if (moves > 0).all():
            break
    else:
        if not sort:
            _refuse(table, clock, order, codes, moves)
        kept = _without_doubles(table, clock, way, first, instants, codes)
        notes.left_out.append(f"{plural(int((~kept).sum()), 'row')} there twice, the same in every column")
        way, first, instants = way[kept], first[kept], instants[kept]
    if what:
        notes.read.append(what)
    if changes:
        notes.read.append(f"local times with summer time: {plural(changes, 'change')} of the clock put right")
    ordered = clock.rows(way)
    return way, first, TimeColumn(clock.columns, instants, ordered.wall, clock.zoned, ordered.numbers)


def _grouped_backwards(codes: np.ndarray) -> np.ndarray:
    """Series after series, the rows of each from the last to the first."""
    backwards = np.arange(len(codes))[::-1]
    return backwards[np.argsort(codes[backwards], kind="stable")]


def _begins(codes: np.ndarray) -> np.ndarray:
    return np.concatenate([[True], np.diff(codes) != 0])


def _without_doubles(
    table: Table, clock: TimeColumn, order: np.ndarray, first: np.ndarray, instants: np.ndarray, codes: np.ndarray
) -> np.ndarray:
    """(N,) bool, False at sorted rows that are the same as one before."""
    repeated = np.flatnonzero(~first[1:] & (np.diff(instants) == 0)) + 1
    same = table.frame.astype(str).iloc[order].duplicated().to_numpy()
    if not same[repeated].all():
        _refuse_repeated(table, clock, order, int(repeated[~same[repeated]][0]), codes)
    return ~same


def _refuse(table: Table, clock: TimeColumn, order: np.ndarray, codes: np.ndarray, moves: np.ndarray) -> None:
    inside = np.diff(codes[order]) == 0
    repeated = pd.DataFrame({"series": codes[order], "time": clock.instants[order]}).duplicated().to_numpy()
    if (moves[inside] < 0).all() and not repeated.any():
        raise UserError(f"data.path {table.path!r} has its newest rows first; give data.sort true to turn it round.")
    if repeated.any() and not (moves[inside] <= 0).all():
        _refuse_repeated(table, clock, order, int(repeated.argmax()), codes)
    row = int((moves <= 0).argmax()) + 1
    labels = _labels(table, clock)
    if not codes.any() and (telling := [name for name, of in labels.items() if rises(clock.instants, of)]):
        raise UserError(
            f"{table.cell(int(order[row]), clock.columns[0])}: {clock.at(int(order[row]))} comes after "
            f"{clock.at(int(order[row - 1]))}, where another series begins; say whose row it is with data.entity "
            f"{' or '.join(map(repr, telling))}."
        )
    raise UserError(
        f"{table.cell(int(order[row]), clock.columns[0])}: {clock.at(int(order[row]))} comes after "
        f"{clock.at(int(order[row - 1]))}, so the rows are not in the order of their times; give data.sort true, "
        "unless the clock was set back there."
    )


def _refuse_repeated(table: Table, clock: TimeColumn, order: np.ndarray, row: int, codes: np.ndarray) -> None:
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


def _telling(table: Table, clock: TimeColumn) -> list[str]:
    """Columns, or two together, that tell apart the rows of one time: with them, no time is there twice."""
    codes = _labels(table, clock)

    def tells(names: Sequence[str]) -> bool:
        keys = pd.DataFrame({name: codes[name] for name in names} | {"the time": clock.instants})
        return not keys.duplicated().any()

    single = [name for name in codes if tells([name])]
    if single:
        return single
    return [",".join(pair) for pair in combinations(list(codes)[:PAIRED], 2) if tells(pair)]


def _labels(table: Table, clock: TimeColumn) -> dict[str, np.ndarray]:
    """Columns of words or whole numbers that may say whose row it is, and (N,) which of its values each row has."""
    codes = {}
    for name in table.names:
        column = table.frame[name]
        whole = not pd.api.types.is_float_dtype(column) or bool((column.dropna() % 1 == 0).all())
        few = name not in clock.columns and whole and 1 < column.nunique() <= len(column) // 2
        if few and not column.isna().any():
            codes[name] = pd.factorize(column)[0]
    return codes


def _look_for_series(table: Table, codes: np.ndarray, notes: ReadingNotes) -> None:
    """Without a clock: warns of a count that begins anew where another column changes, and refuses a total."""
    for name in table.names:
        cell = table.frame[name].iloc[-1]
        if isinstance(cell, str) and cell.strip().lower().rstrip(":") in TOTALS:
            raise UserError(f"{table.cell(len(table.frame) - 1, name)}: {cell!r} is no time step; take the line out.")
    if codes.any():
        return
    frame = table.frame
    whole = [name for name in table.names if pd.api.types.is_integer_dtype(frame[name])]
    for name in whole:
        moves = np.diff(frame[name].to_numpy(np.int64))
        starts = np.flatnonzero(moves < 0) + 1
        if not len(starts) or float((moves == 1).mean()) < 0.8:
            continue
        for other in table.names:
            labels = frame[other].astype(str).to_numpy()
            changes = np.flatnonzero(labels[1:] != labels[:-1]) + 1
            if other != name and np.array_equal(changes, starts):
                notes.warn(
                    f"column {name!r} begins anew where {other!r} changes: rows of several series are under one "
                    f"another, and windows cross from one into the next; give data.entity {other!r}",
                    Rank.MISLEADING,
                )
                return
