"""From a user's files to a record: in order, on the grid of its clock, with its holes, and cut in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rnnbench.config import DataConfig
from rnnbench.config.parts import shares
from rnnbench.data.files import ReadingNotes, plural
from rnnbench.data.files.content import named_by
from rnnbench.data.series.record import LONGEST_FILLED, Record, digest, listed
from rnnbench.data.series.table import UserTable
from rnnbench.data.series.table.columns import series
from rnnbench.data.series.table.dates import TimeColumn, date
from rnnbench.data.series.table.files import read_table
from rnnbench.data.series.table.order import HOLE, Spacing, in_order, rises, series_of_rows, spacing, summed
from rnnbench.data.series.table.times import CLOCKS, find_clock
from rnnbench.data.source import Part
from rnnbench.errors import UserError

#: Rows of the grid that part two series, or two files: no hole of so many is ever filled.
APART = LONGEST_FILLED + 1
#: Of a long hole so many seasons stay on the grid, and the season's phase.
SEASONS = 4
#: Shares of the train, val and test parts.
SPLIT = (0.7, 0.1, 0.2)


@dataclass(frozen=True)
class Grid:
    """A file's series on the even grid of its clock, one after the other."""

    values: np.ndarray  # (N, C) float64, NaN where the grid has a step and the file no value
    first: np.ndarray  # (N,) int64, the first row of the series that each row is of
    wall: np.ndarray | None  # (N,) datetime64[us], between the file's rows on the line; None where there is no clock
    step: str | None  # name of one step; None where there is no clock
    period: int | None  # steps of a season, as far as the clock tells it
    columns: list[str]
    data: bytes  # the file's


def read_user_table(data: DataConfig) -> Record:
    """The columns that the configuration asks for, of the file or files that it names.

    Raises:
        UserError: A file cannot be read, its rows are not in order, or a value is missing and none may be.
    """
    notes = ReadingNotes()
    assert data.path is not None
    main = _grid(data, data.path, data.column, notes)
    grids: dict[Part, Grid] = {"train": main}
    paths: dict[Part, str | None] = {"val": data.val_path, "test": data.test_path}
    for part, path in paths.items():
        if path is not None:
            beside = ReadingNotes()
            with named_by(f"data.{part}_path"):
                grids[part] = _grid(data, path, main.columns, beside)
            _compare(main, grids[part], beside)
            notes.extend(beside, f"{part} file")
    values, first, wall = main.values, main.first, main.wall
    starts: dict[Part, int] = {}
    for part, grid in grids.items():
        if part != "train":
            gap, at = np.full((APART, len(main.columns)), np.nan), len(values) + APART
            starts[part] = at
            values = np.concatenate([values, gap, grid.values])
            first = np.concatenate([first, np.full(APART, at - APART), grid.first + at])
            timed = wall is not None and grid.wall is not None
            wall = np.concatenate([wall, np.repeat(wall[-1:], APART), grid.wall]) if timed else None  # type: ignore
    parts = _parts(data, grids, starts)
    one = len(grids) == 1 and not first.any()
    record = Record(
        values,
        tuple(main.columns),
        digest(b"".join(grid.data for grid in grids.values()), main.columns),
        wall,
        spans=None if one and data.split is None else parts,
        first=None if one else first,
        longest_filled=LONGEST_FILLED if data.missing == "interpolate" else 0,
        period=main.period,
        notes=notes,
    )
    notes.read.append(_split_in_words(record.parts(), wall))
    return record


def _grid(data: DataConfig, path: str, column: str | list[str] | None, notes: ReadingNotes) -> Grid:
    table = read_table(path, data.encoding, column, notes)
    codes, entity = series_of_rows(table, data.entity, notes)
    blank = table.frame.drop(columns=entity).isna().all(axis=1).to_numpy()
    clock, times = find_clock(
        table.without(blank), data.date_format, notes, lambda clock: rises(clock.times, codes[~blank])
    )
    if clock is not None and blank.any():  # its absence is then seen on the clock
        notes.left_out.append(f"{plural(int(blank.sum()), 'blank line')} between the rows")
        table, codes = table.without(blank), codes[~blank]
    order, first, clock = in_order(table, clock, codes, data.sort, notes)
    columns, values = series(table, column, [*times, *entity], notes)
    notes.read.append(f"forecast: {listed(columns)}")
    table.frame.drop(columns=table.names, inplace=True)  # so that a large table and its values are not held at once
    if len(order) < len(values) or (np.diff(order) != 1).any():
        values = values[order]
    _check_missing(table, columns, values, order, data, notes)
    spaced = None
    if clock is not None:
        spaced = spacing(clock.times, clock.wall, first)
        _describe_spacing(clock, spaced, first, data, notes)
    if data.time_features and (clock is None or clock.wall is None):
        has = f"{clock.columns[0]!r}, which has plain numbers" if clock else "none"
        raise UserError(
            f"data.time_features needs a column with the time, named {', '.join(CLOCKS[:4])} …, and {path!r} has "
            f"{has}; name the one with the time so, or leave data.time_features out."
        )
    steps = spaced.steps if spaced else summed(np.ones(len(first) - 1, np.int64), first)
    step, period = (spaced.name, spaced.period) if spaced else (None, None)
    rows = _placed(steps, first, data.period or period or 1)
    size = int(rows[-1]) + 1
    on_grid = np.full((size, len(columns)), np.nan)
    on_grid[rows] = values
    wall = None
    if clock is not None and clock.wall is not None:
        known = clock.wall.astype("datetime64[us]")
        wall = np.interp(np.arange(size), rows, known.astype(np.int64)).astype(np.int64).astype("datetime64[us]")
        wall[rows] = known
    starts = rows[first]
    return Grid(on_grid, np.repeat(starts, np.diff([*starts, size])), wall, step, period, columns, table.data)


def _placed(steps: np.ndarray, first: np.ndarray, period: int) -> np.ndarray:
    """(N,) the row of the grid for each row of the file: series after series, APART rows between them.

    A hole of many seasons is cut down to some, at the same phase, so that no grid outgrows its file.
    """
    moves = np.diff(steps)
    longest = SEASONS * period + APART
    moves = np.where(moves > longest, longest + (moves - longest) % period, moves)
    moves = np.where(first[1:], APART + 1, moves)
    return np.concatenate([[0], np.cumsum(moves)])


def _check_missing(
    table: UserTable,
    columns: Sequence[str],
    values: np.ndarray,
    order: np.ndarray,
    data: DataConfig,
    notes: ReadingNotes,
) -> None:
    missing = np.isnan(values)
    if not missing.any():
        return
    if missing.all(axis=0).any():
        name = columns[int(missing.all(axis=0).argmax())]
        raise UserError(f"data.path {table.path!r} has no value in column {name!r}; leave it out with data.column.")
    count, lacking = int(missing.sum()), listed([columns[at] for at in np.flatnonzero(missing.any(axis=0))])
    if data.missing == "refuse" and not data.max_gap:
        rows = np.flatnonzero(missing.any(axis=1))
        at = rows[order[rows].argmin()]  # the first in the file
        raise UserError(
            f"{table.cell(int(order[at]), columns[int(missing[at].argmax())])}: the value is missing, the first of "
            f"{count} in {lacking}; say what to do with data.missing interpolate (holes of up to three are filled) or "
            "segment (none is)."
        )
    filled = f"holes of up to {LONGEST_FILLED} are filled on a line, longer ones split the record"
    done = filled if data.missing == "interpolate" else _carried(data) or "each splits the record"
    notes.read.append(f"{plural(count, 'value')} missing in {lacking}: {done}")


def _carried(data: DataConfig) -> str | None:
    if not data.max_gap:
        return None
    return f"the last value is carried across holes of up to {data.max_gap} steps, longer ones split the record"


def _describe_spacing(
    clock: TimeColumn, spaced: Spacing, first: np.ndarray, data: DataConfig, notes: ReadingNotes
) -> None:
    when = f"{clock.at(0)} to {clock.at(len(first) - 1)}" if not first[1:].any() else "each series its own"
    notes.read.append(f"clock {', '.join(map(repr, clock.columns))}: {when}, a row every {spaced.name}")
    if not spaced.even:
        notes.warn(
            f"the times are not evenly spaced: a row every {spaced.name} in the median, so that no time step is like "
            f"another; the record is split where the next row is more than {HOLE} times as far"
        )
    if spaced.between:
        notes.warn(
            f"{plural(spaced.between, 'row')} less than half a step after the one before: each is taken for a step "
            "of its own, so that no season is known",
            misleading=True,
        )
    if spaced.holidays:
        notes.read.append(f"{plural(spaced.holidays, 'working day')} without a row: none of the steps, as if holidays")
    absent = np.maximum(np.diff(spaced.steps) - 1, 0)
    if absent.any():
        done = (
            f"those of up to {LONGEST_FILLED} rows are filled on a line, and the record is split at the others"
            if data.missing == "interpolate"
            else _carried(data)
            or "the record is split there, and no window crosses one (data.missing interpolate fills the short ones)"
        )
        notes.warn(
            f"{plural(int((absent > 0).sum()), 'hole')} in the times, {plural(int(absent.sum()), 'row')} missing, the "
            f"first after {clock.at(int((absent > 0).argmax()))}: {done}"
        )


def _compare(train: Grid, later: Grid, notes: ReadingNotes) -> None:
    """Warns of a val or test file that is of another time step than the main one, or of the same time."""
    if train.step != later.step:
        notes.warn(f"its rows are {later.step} apart and those of the main file {train.step}", misleading=True)
    if train.wall is not None and later.wall is not None and later.wall.min() <= train.wall.max():
        notes.warn(
            f"it begins on {date(later.wall.min())}, before the training file's end on "
            f"{date(train.wall.max())}: what is trained on may be what is scored",
            misleading=True,
        )
    elif np.array_equal(train.values, later.values, equal_nan=True):
        notes.warn("it has the very values of the training file", misleading=True)


def _parts(data: DataConfig, grids: dict[Part, Grid], begins: dict[Part, int]) -> dict[Part, list[tuple[int, int]]]:
    """The rows of each part: a share of the main file's time, or a file of its own, which begins where is said."""
    parts: dict[Part, list[tuple[int, int]]] = {"train": [], "val": [], "test": []}
    weights = dict(zip(parts, shares(data.split) or SPLIT, strict=True))
    main = [part for part in parts if part not in begins]
    whole = sum(weights[part] for part in main)
    grid = grids["train"]
    ends = np.cumsum([weights[part] / whole for part in main[:-1]]).tolist()
    starts = np.unique(grid.first).tolist()
    times = None
    if len(starts) > 1 and grid.wall is not None:  # all series are cut at the same times
        known = np.sort(grid.wall[~np.isnan(grid.values).all(axis=1)])
        times = [known[min(round(end * len(known)), len(known) - 1)] for end in ends]
    stops = [*(start - APART for start in starts[1:]), len(grid.values)]
    for start, stop in zip(starts, stops, strict=True):
        if times is None:
            cuts = [start + round(end * (stop - start)) for end in ends]
        else:
            assert grid.wall is not None
            cuts = [start + int(np.searchsorted(grid.wall[start:stop], time)) for time in times]
        for part, left, right in zip(main, [start, *cuts], [*cuts, stop], strict=True):
            if right > left:
                parts[part].append((left, right))
    for part, begin in begins.items():
        parts[part] = [(begin, begin + len(grids[part].values))]
    return parts


def _split_in_words(parts: dict[Part, list[tuple[int, int]]], wall: np.ndarray | None) -> str:
    words = []
    for part, spans in parts.items():
        steps = sum(stop - start for start, stop in spans)
        when = ""
        if wall is not None and spans:
            first, last = min(wall[start] for start, _ in spans), max(wall[stop - 1] for _, stop in spans)
            when = f", {date(first)} to {date(last)}"
        words.append(f"{part} {plural(steps, 'time step')}{when}")
    return "split: " + "; ".join(words)
