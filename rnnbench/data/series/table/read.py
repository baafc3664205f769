"""From a user's files to a record: in order, on the grid of its clock, with its holes, and cut in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rnnbench.config import DataConfig
from rnnbench.config.parts import shares
from rnnbench.data.files.folder import named_by
from rnnbench.data.files.notes import Rank, ReadingNotes, plural
from rnnbench.data.series.record import LONGEST_FILLED, Record, digest, listed
from rnnbench.data.series.table.columns import series
from rnnbench.data.series.table.files import read_table
from rnnbench.data.series.table.frame import Table
from rnnbench.data.series.table.order import in_order, rises, series_of_rows
from rnnbench.data.series.table.spacing import HOLE, Spacing, spacing
from rnnbench.data.series.table.times import CLOCKS, find_clock
from rnnbench.data.series.table.written import TimeColumn, date
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
    """A file's series on the even grid of its clock, one after the other.

    Args:
        values: (N, C) float64, NaN where the grid has a step and the file no value.
        first: (N,) int64, the first row of the series that each row is of.
        wall: (N,) datetime64[us], between the file's rows on the line; None where there is no clock.
        step: Name of one step; None where there is no clock.
        period: Steps of a season, as far as the clock tells it.
        columns: C names.
        data: The file's bytes.
    """

    values: np.ndarray
    first: np.ndarray
    wall: np.ndarray | None
    step: str | None
    period: int | None
    columns: list[str]
    data: bytes


def read_user_table(data: DataConfig) -> Record:
    """The columns that the configuration asks for, of the file or files that it names.

    Raises:
        UserError: A file cannot be read, its rows are not in order, or a value is missing and none may be.
    """
    notes = ReadingNotes()
    assert data.path is not None
    grids: dict[Part, Grid] = {"train": _grid(data, data.path, data.column, notes)}
    columns = grids["train"].columns
    for part, path in (("val", data.val_path), ("test", data.test_path)):
        if path is not None:
            beside = ReadingNotes()
            with named_by(f"data.{part}_path"):
                grids[part] = _grid(data, path, columns, beside)  # type: ignore[index]
            _compare(grids["train"], grids[part], beside)  # type: ignore[index]
            notes.extend(beside, f"{part} file")
    joined, starts = _joined(list(grids.values()))
    parts = _parts(data, grids, starts)
    content = b"".join(grid.data for grid in grids.values())
    one = len(grids) == 1 and not joined.first.any()
    record = Record(
        joined.values,
        tuple(columns),
        digest(content, columns),
        joined.wall,
        spans=None if one and data.split is None else parts,
        first=None if one else joined.first,
        longest_filled=LONGEST_FILLED if data.missing == "interpolate" else 0,
        period=joined.period,
        notes=notes,
    )
    notes.read.append(_split_in_words(record.parts(), joined.wall))
    return record


def _grid(data: DataConfig, path: str, column: str | list[str] | None, notes: ReadingNotes) -> Grid:
    table = read_table(path, data.encoding, column, notes)
    codes, entity = series_of_rows(table, data.entity, notes)
    blank = table.frame.drop(columns=entity).isna().all(axis=1).to_numpy()
    clock, times = find_clock(
        _without(table, blank), data.date_format, notes, lambda clock: rises(clock.instants, codes[~blank])
    )
    if clock is not None and blank.any():  # its absence is then seen on the clock
        notes.left_out.append(f"{plural(int(blank.sum()), 'blank line')} between the rows")
        table, codes = _without(table, blank), codes[~blank]
    order, first, clock = in_order(table, clock, codes, data.sort, notes)
    columns, values = series(table, column, [*times, *entity], notes)
    notes.read.append(f"forecast: {listed(columns)}")
    table.frame.drop(columns=table.names, inplace=True)  # a large one has no room beside what follows
    if len(order) < len(values) or (np.diff(order) != 1).any():
        values = values[order]
    _check_missing(table, columns, values, order, data, notes)
    spaced = None
    if clock is not None:
        spaced = spacing(clock.instants, clock.wall, first)
        _tell_spacing(clock, spaced, first, data.missing, notes)
    if data.time_features and (clock is None or clock.wall is None):
        has = f"{clock.columns[0]!r}, which has plain numbers" if clock else "none"
        raise UserError(
            f"data.time_features needs a column with the time, named {', '.join(CLOCKS[:4])} …, and {path!r} has "
            f"{has}; name the one with the time so, or leave data.time_features out."
        )
    period = data.period or (spaced.period if spaced else None)
    rows = _placed(spaced.steps if spaced else _counted(first), first, period or 1)
    size = int(rows[-1]) + 1
    on_grid = np.full((size, len(columns)), np.nan)
    on_grid[rows] = values
    starts = rows[first]
    wall = None
    if clock is not None and clock.wall is not None:
        seconds = clock.wall.astype("datetime64[us]").astype(np.int64)
        wall = np.interp(np.arange(size), rows, seconds).astype(np.int64).astype("datetime64[us]")
        wall[rows] = clock.wall
    of_series = np.repeat(starts, np.diff([*starts, size]))
    step, period = (spaced.name, spaced.period) if spaced else (None, None)
    return Grid(on_grid, of_series, wall, step, period, columns, table.data)


def _without(table: Table, rows: np.ndarray) -> Table:
    if not rows.any():
        return table
    kept = np.flatnonzero(~rows)
    return replace(table, frame=table.frame.iloc[kept].reset_index(drop=True), place=lambda row: table.place(kept[row]))


def _counted(first: np.ndarray) -> np.ndarray:
    starts = np.flatnonzero(first)
    return np.arange(len(first)) - np.repeat(starts, np.diff([*starts, len(first)]))


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
    table: Table, columns: Sequence[str], values: np.ndarray, order: np.ndarray, data: DataConfig, notes: ReadingNotes
) -> None:
    missing = np.isnan(values)
    if not missing.any():
        return
    for name, everywhere in zip(columns, missing.all(axis=0), strict=True):
        if everywhere:
            raise UserError(f"data.path {table.path!r} has no value in column {name!r}; leave it out with data.column.")
    count, lacking = int(missing.sum()), [name for name, any_ in zip(columns, missing.any(axis=0), strict=True) if any_]
    row = int(order[missing.any(axis=1)].min())
    if data.missing == "refuse":
        name = next(
            name for name, there in zip(columns, missing[np.flatnonzero(order == row)[0]], strict=True) if there
        )
        raise UserError(
            f"{table.cell(row, name)}: the value is missing, the first of {count} in {listed(lacking)}; say what to do "
            "with data.missing interpolate (holes of up to three are filled) or segment (none is)."
        )
    done = f"holes of up to {LONGEST_FILLED} are filled on a line, longer ones split the record"
    notes.read.append(
        f"{plural(count, 'value')} missing in {listed(lacking)}: "
        + (done if data.missing == "interpolate" else "each splits the record")
    )


def _tell_spacing(clock: TimeColumn, spaced: Spacing, first: np.ndarray, missing: str, notes: ReadingNotes) -> None:
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
            Rank.MISLEADING,
        )
    if spaced.holidays:
        notes.read.append(f"{plural(spaced.holidays, 'working day')} without a row: none of the steps, as if holidays")
    if spaced.holes:
        at = int((np.diff(spaced.steps) > 1).argmax())
        done = (
            f"those of up to {LONGEST_FILLED} rows are filled on a line, and the record is split at the others"
            if missing == "interpolate"
            else "the record is split there, and no window crosses one (data.missing interpolate fills the short ones)"
        )
        notes.warn(
            f"{plural(spaced.holes, 'hole')} in the times, {plural(spaced.missing, 'row')} missing, the first after "
            f"{clock.at(at)}: {done}"
        )


def _compare(train: Grid, other: Grid, notes: ReadingNotes) -> None:
    """Warns of a val or test file that is of another time step than the main one, or of the same time."""
    if train.step != other.step:
        notes.warn(f"its rows are {other.step} apart and those of the main file {train.step}", Rank.MISLEADING)
    if train.wall is not None and other.wall is not None and other.wall.min() <= train.wall.max():
        notes.warn(
            f"it begins on {date(other.wall.min())}, before the training file's end on "
            f"{date(train.wall.max())}: what is trained on may be what is scored",
            Rank.MISLEADING,
        )
    elif np.array_equal(train.values, other.values, equal_nan=True):
        notes.warn("it has the very values of the training file", Rank.MISLEADING)


def _joined(grids: list[Grid]) -> tuple[Grid, list[int]]:
    """All files' grids under one another, APART rows between them, and where each begins."""
    if len(grids) == 1:
        return grids[0], [0]
    columns = grids[0].columns
    values, firsts, starts, at = [], [], [], 0
    walls: list[np.ndarray] = []
    for index, grid in enumerate(grids):
        if index:
            values.append(np.full((APART, len(columns)), np.nan))
            firsts.append(np.full(APART, at))
            walls.append(np.repeat(walls[-1][-1:], APART) if grids[0].wall is not None else np.empty(0))
            at += APART
        starts.append(at)
        values.append(grid.values)
        firsts.append(grid.first + at)
        walls.append(grid.wall if grid.wall is not None else np.empty(0))
        at += len(grid.values)
    wall = np.concatenate(walls) if all(grid.wall is not None for grid in grids) else None
    joined = Grid(np.concatenate(values), np.concatenate(firsts), wall, grids[0].step, grids[0].period, columns, b"")
    return joined, starts


def _parts(data: DataConfig, grids: dict[Part, Grid], starts: list[int]) -> dict[Part, list[tuple[int, int]]]:
    """The rows of each part: a file of its own, or a share of the main file's time."""
    parts: dict[Part, list[tuple[int, int]]] = {"train": [], "val": [], "test": []}
    weights = dict(zip(parts, shares(data.split) or SPLIT, strict=True))
    main = [part for part in parts if part == "train" or part not in grids]
    whole = sum(weights[part] for part in main)
    grid = grids["train"]
    ends = np.cumsum([weights[part] / whole for part in main[:-1]]).tolist()
    begins = np.flatnonzero(np.concatenate([[True], np.diff(grid.first) != 0])).tolist()
    times = None
    if len(begins) > 1 and grid.wall is not None:  # all series are cut at the same times
        known = np.sort(grid.wall[~np.isnan(grid.values).all(axis=1)])
        times = [known[min(round(end * len(known)), len(known) - 1)] for end in ends]
    stops = [*(begin - APART for begin in begins[1:]), len(grid.values)]
    for start, stop in zip(begins, stops, strict=True):
        if times is None:
            cuts = [start + round(end * (stop - start)) for end in ends]
        else:
            assert grid.wall is not None
            cuts = [start + int(np.searchsorted(grid.wall[start:stop], time)) for time in times]
        for part, left, right in zip(main, [start, *cuts], [*cuts, stop], strict=True):
            if right > left:
                parts[part].append((left, right))
    for (part, other), at in zip(grids.items(), starts, strict=True):
        if part != "train":
            parts[part] = [(at, at + len(other.values))]
    return parts


def _split_in_words(parts: dict[Part, list[tuple[int, int]]], wall: np.ndarray | None) -> str:
    told = []
    for part, spans in parts.items():
        steps = sum(stop - start for start, stop in spans)
        when = ""
        if wall is not None and spans:
            first, last = min(wall[start] for start, _ in spans), max(wall[stop - 1] for _, stop in spans)
            when = f", {date(first)} to {date(last)}"
        told.append(f"{part} {plural(steps, 'time step')}{when}")
    return "split: " + "; ".join(told)
