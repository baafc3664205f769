"""A series on a grid of time, and what its clock tells: where in the day, the week and the year a time step lies."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rnnbench.data.files import ReadingNotes
from rnnbench.data.source import Part
from rnnbench.errors import UserError

#: The longest hole that is filled, in time steps: 15 minutes of glucose, 90 minutes of sea temperature.
LONGEST_FILLED = 3
#: Of a cycle, the share that training must have gone through for its phase to be an input.
COVERED = 0.9
_DAY = 86_400


@dataclass(frozen=True)
class Record:
    """A series of one or more columns on a grid of time.

    Where it has neither ``ends`` nor ``spans`` it is divided 70/10/20.
    """

    values: np.ndarray  # (N, C) float64 in original units; NaN where nothing was measured
    columns: tuple[str, ...]  # what is measured, C names
    fingerprint: str  # SHA-256 of the file's content and the columns
    clock: np.ndarray | None = None  # (N,) datetime64, when each row was measured; None where that is not known
    ends: tuple[int, int, int] | None = None  # rows at which train, val and test end, where a standard split says so
    spans: dict[Part, list[tuple[int, int]]] | None = None  # of each part the rows (start, stop) of all its segments
    first: np.ndarray | None = None  # (N,) int64, of each row the first of its series; None where all are one series
    longest_filled: int = LONGEST_FILLED  # the longest hole that is filled, in time steps; 0 for none
    period: int | None = None  # seasonal period in time steps, as far as the clock tells it
    notes: ReadingNotes | None = None  # how a user's file was read

    def parts(self) -> dict[Part, list[tuple[int, int]]]:
        """The rows (start, stop) of which each part consists, in order."""
        if self.spans is not None:
            return self.spans
        size = len(self.values)
        train, val, size = self.ends or (size * 7 // 10, size * 8 // 10, size)
        return {"train": [(0, train)], "val": [(train, val)], "test": [(val, size)]}


def chosen(column: str, columns: Sequence[str], where: str, option: str = "data.column") -> list[int]:
    """Indices of the columns that an option asks for: a name, names separated by commas, or ``all``.

    Raises:
        UserError: A name that is not in ``where``, what holds the columns, or is named twice.
    """
    if column in columns:  # before the commas: a name may hold one
        return [list(columns).index(column)]
    if column == "all":
        return list(range(len(columns)))
    wanted = [name.strip() for name in column.split(",")]
    for name in wanted:
        if name not in columns:
            raise UserError(f"{option} {name!r} is not in {where}; its columns: {listed(columns)}.")
        if wanted.count(name) > 1:
            raise UserError(f"{option} {column!r} names {name!r} twice; name each column once.")
    return [list(columns).index(name) for name in wanted]


def listed(columns: Sequence[str]) -> str:
    """The names in quotes, the first 20 of them."""
    return ", ".join(repr(name) for name in columns[:20]) + (" …" if len(columns) > 20 else "")


def digest(data: bytes, columns: Sequence[str]) -> str:
    """The fingerprint of a file's content and the columns taken from it."""
    hasher = hashlib.sha256(data)
    hasher.update(b"\0" + ",".join(columns).encode())
    return hasher.hexdigest()


def fill(values: np.ndarray, longest: int = LONGEST_FILLED) -> np.ndarray:
    """(N,) values with holes (NaN) of up to ``longest`` steps filled on the line between the known ones around them."""
    known = np.flatnonzero(~np.isnan(values))
    if not longest or not len(known):
        return values
    out = np.interp(np.arange(len(values)), known, values[known], left=np.nan, right=np.nan)
    for at in np.flatnonzero(np.diff(known) - 1 > longest):
        out[known[at] + 1 : known[at + 1]] = np.nan
    return out


def carry(values: np.ndarray, longest: int) -> np.ndarray:
    """(N,) values with holes (NaN) of up to ``longest`` steps filled with the last known one before each."""
    known, steps = ~np.isnan(values), np.arange(len(values))
    before = np.maximum.accumulate(np.where(known, steps, -1))
    after = np.minimum.accumulate(np.where(known, steps, len(values))[::-1])[::-1]
    filled = (before >= 0) & (after < len(values)) & (after - before - 1 <= longest)
    return np.where(filled, values[before], values)


def elapsed(known: np.ndarray, longest: int) -> np.ndarray:
    """(N,) bool, True where a time step is known → steps since the last known one before each, float32.

    1 where there is none, or a hole of more than ``longest`` steps is between.
    """
    steps = np.arange(len(known))
    last = np.maximum.accumulate(np.where(known, steps, -1))
    since = steps - np.concatenate([[-1], last[:-1]])
    return np.where((since > longest + 1) | (steps - since < 0), 1, since).astype(np.float32)


def segments(known: np.ndarray) -> int:
    """Unbroken segments of (N,) bool, True where a time step is known."""
    return int(known[:1].sum() + (known[1:] & ~known[:-1]).sum())


def each_column(job: Callable[[np.ndarray], float], values: np.ndarray) -> np.ndarray:
    """(C,) results of a job on each column, laid out as if it were alone: the same bits whatever stands beside it."""
    return np.array([job(np.ascontiguousarray(column)) for column in values.T])


def time_features(clock: np.ndarray, train: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Sine and cosine of the phase in each cycle: time of day, day of the week, day of the year.

    A cycle is left out where its phase never changes in training (the time of day of daily data), and where training
    sees less than COVERED of it: at phases never trained on, a network's answer would be chance.

    Args:
        clock: (N,) datetime64.
        train: (N,) bool, True in the training part; nothing else decides anything.

    Returns:
        The cycles' names, K of them, and (N, 2 K) float64: sin 2πφ and cos 2πφ of each.

    Raises:
        UserError: No cycle is left.
    """
    seconds = clock.astype("datetime64[s]").astype(np.int64)
    days = seconds // _DAY
    years = clock.astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64)
    phases = {
        "time of day": (seconds % _DAY / _DAY, 1.0),
        "day of week": ((days + 3) % 7 / 7, 7.0),  # day 0, 1970-01-01, was a Thursday; Monday is 0
        "day of year": ((days - years) / 365.2425, 365.2425),
    }
    trained = (seconds[train].max() - seconds[train].min()) / _DAY
    kept = {
        name: phase
        for name, (phase, length) in phases.items()
        if trained >= COVERED * length and len(np.unique(phase[train])) > 1
    }
    if not kept:
        raise UserError(
            f"data.time_features tell nothing here: the {trained:.3g} days of training go through neither a day, a "
            "week nor a year; leave them out or take a longer record."
        )
    waves = [wave(2 * np.pi * phase) for phase in kept.values() for wave in (np.sin, np.cos)]
    return tuple(kept), np.stack(waves, axis=1)
