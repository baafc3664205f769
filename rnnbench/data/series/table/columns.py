"""Which columns of a table are series, and what the others are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnnbench.data.files.notes import Rank, ReadingNotes
from rnnbench.data.series.record import chosen, listed
from rnnbench.data.series.table.frame import ROW_NAMES, Table
from rnnbench.data.series.table.numbers import Numbers, checked, to_numbers
from rnnbench.errors import UserError

#: Values that stand for "not measured" in many a record.
SENTINELS = (-9.0, -1.0, -99.0, -99.9, -999.0, -999.9, -9999.0, -99999.0, 99.0, 999.0, 9999.0, 99999.0, 999999.0, 1e20)


def series(table: Table, column: str | None, used: Sequence[str], notes: ReadingNotes) -> tuple[list[str], np.ndarray]:
    """The columns to forecast.

    Args:
        table: All columns.
        column: data.column: a name, several separated by commas, ``all``, or None for the only one that can be meant.
        used: Columns that are the clock or say whose row it is.
        notes: Which columns are left out, and why, is added to them.

    Returns:
        C names and (N, C) float64, NaN where a value is missing.

    Raises:
        UserError: No such column, not exactly one where none is named, or a value that is no finite number.
    """
    names = table.names
    free = [name for name in names if name not in used]
    numbers = {name: to_numbers(table.frame[name], table.decimal_comma) for name in free}
    if column is not None and (column != "all" or column in names):
        picked = [names[at] for at in chosen(column, names, repr(table.path))]
        for name in picked:
            if name in used:
                raise UserError(
                    f"data.column {name!r} is the clock of {table.path!r}, or whose row it is; name another."
                )
            if numbers[name] is None:
                raise UserError(
                    f"data.column {name!r} of {table.path!r} is no column of numbers but has {_example(table, name)}; "
                    f"name one of {listed([other for other in free if numbers[other] is not None])}."
                )
            if reason := _no_series(table, name, numbers[name]):
                notes.warn(f"column {name!r} is forecast because it is asked for: {reason}")
    else:
        reasons = {name: _no_series(table, name, numbers[name]) for name in free}
        picked = [name for name in free if not reasons[name]]
        if not picked:
            why = "; ".join(f"{name!r}: {reason}" for name, reason in list(reasons.items())[:5])
            raise UserError(
                f"data.path {table.path!r} has no numeric column among {listed(names)} to forecast ({why})."
            )
        if column is None and len(picked) > 1:
            raise UserError(
                f"data.path {table.path!r} has {len(picked)} numeric columns, {listed(picked)}; name what to forecast "
                "with data.column, or give all."
            )
        notes.left_out.extend(f"column {name!r}: {reason}" for name, reason in reasons.items() if reason)
    values = np.empty((len(table.frame), len(picked)))
    for at, name in enumerate(picked):
        found = numbers[name]
        assert found is not None
        values[:, at] = checked(table, name, found)
        if found.style not in (None, "1234.5"):
            notes.read.append(f"column {name!r} is written as {found.style}")
        _suspect(name, values[:, at], notes)
    return picked, values


def _example(table: Table, name: str) -> str:
    known = table.frame[name].dropna()
    return repr(str(known.iloc[0])[:40]) if len(known) else "nothing in it"


def _no_series(table: Table, name: str, numbers: Numbers | None) -> str | None:
    """Why a column is none that one would forecast; None where it is one."""
    if numbers is None:
        return f"no numbers, its first is {_example(table, name)}"
    known = numbers.values[~np.isnan(numbers.values)]
    if not len(known):
        return "it is empty"
    if numbers.wrong is None and known.min() == known.max():
        return f"it is constant at {known[0]:g}"
    if name == ROW_NAMES:
        return "the names of the rows"
    rises = np.diff(known)
    if (
        len(known) == len(numbers.values) > 2
        and np.isfinite(known).all()
        and np.allclose(rises, rises.mean(), rtol=1e-6, atol=0)
    ):
        return f"it counts the rows, from {known[0]:g} in steps of {rises.mean():g}"
    return None


def _suspect(name: str, values: np.ndarray, notes: ReadingNotes) -> None:
    """Names values that look like a mark for what was not measured: one of SENTINELS, far from all the others."""
    known = values[~np.isnan(values)]
    if not len(known):
        return
    for mark in {float(known.min()), float(known.max())} & set(SENTINELS):
        others = known[known != mark]
        count = len(known) - len(others)
        if count < 2 or not len(others):
            continue
        spread = float(np.percentile(others, 95) - np.percentile(others, 5)) or float(np.ptp(others)) or 1.0
        if min(abs(mark - others.min()), abs(mark - others.max())) > spread:
            notes.warn(
                f"column {name!r} is {mark:g} in {count} rows, far from all its other values: if that stands for a "
                "missing value, leave these fields empty and say what to do with data.missing",
                Rank.MISLEADING,
            )
