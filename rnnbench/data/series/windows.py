"""Forecasting: from T steps of a series, the next `horizon` ones.

Short holes (up to three missing values) are filled linearly, longer ones stay: no window crosses them. With
``data.max_gap`` none is: windows go across holes up to that long, in which the last measured value stands, and a batch
says where (`Batch.side`); all targets are measured. The record is cut in time before that, 70/10/20 or by its standard
split, so nothing of a later part reaches an earlier one.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import itertools
import json
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnnbench.catalog import data_set
from rnnbench.config import DataConfig
from rnnbench.data.files import ReadingNotes, plural
from rnnbench.data.series.readers import read
from rnnbench.data.series.record import Record, carry, each_column, elapsed, fill, segments, time_features
from rnnbench.data.series.references import forecast_references
from rnnbench.data.source import Batches, Part, Source, evenly, generator
from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError
from rnnbench.system.cache import cached_json

#: Windows in an evaluation batch.
EVALUATION_BATCH = 256
#: Fewer windows than this in a part are said to be few; a part whose mean lies further off than this many standard
#: deviations is said to be shifted; more standard deviations from the training part than this cannot be scored.
FEW, SHIFTED, LARGEST = 30, 3.0, 1e15


class SeriesData(Source):
    """A series of C columns as windows, float32, in standard deviations of the training part.

    x is (B, T, C), y the next steps in turn, all columns of each: (B, horizon · C). With ``data.relative`` both are
    differences from the last of the T steps. With ``data.time_features`` x has the phases of the clock beside the
    columns, which are not forecast.

    Args:
        record: The series.
        data: Window length, batch size, horizon, time features, whether relative.
        seed: Decides the order of the training windows.
        period: Seasonal period in time steps, for the seasonal-naive reference; None for none.

    Attributes:
        columns: What is forecast, C names.

    Raises:
        UserError: A part has no gap-free window, or a column of the training part is constant.
    """

    def __init__(self, record: Record, data: DataConfig, seed: int = 0, period: int | None = None) -> None:
        self._record, self._data, self._seed = record, data, seed
        self._period = period or record.period
        self.fingerprint, self.columns, self._raw = record.fingerprint, record.columns, record.values
        self._parts = record.parts()
        self._size = max(stop for _, stop in itertools.chain(*self._parts.values()))
        self._values = self._raw[: self._size].copy()
        observed = ~np.isnan(self._values).any(1)
        since = np.ones(self._size, np.float32)
        for start, stop in itertools.chain(*self._parts.values()):
            since[start:stop] = elapsed(observed[start:stop], data.max_gap)
            for column in self._values[start:stop].T:
                column[:] = carry(column, data.max_gap) if data.max_gap else fill(column.copy(), record.longest_filled)
        #: Rows with a value of their own, where the others of a window are told apart.
        self._observed = observed if data.max_gap else None
        measured = np.where(observed[:, None], self._values, np.nan) if data.max_gap else self._values
        self._starts: dict[Part, np.ndarray] = {part: self._windows(part) for part in self._parts}
        trained = np.zeros(self._size, bool)
        for start, stop in self._parts["train"]:
            trained[start:stop] = True
        known = measured[trained]
        # in powers of two that bring each column near 1: the same bits, and no square leaves the range of a float
        self._unit = 2.0 ** (np.frexp(np.nanmax(np.abs(known), axis=0))[1] - 1)
        known /= self._unit
        self._mean = each_column(np.nanmean, known) * self._unit
        self._std = each_column(np.nanstd, known) * self._unit
        for at, column in enumerate(record.columns):
            if np.nanmin(known[:, at]) == np.nanmax(known[:, at]):  # of equal floats the deviation need not be 0
                raise UserError(
                    f"the training part of {data.label!r} is constant at {self._mean[at]:g} in column {column!r}; "
                    "take another."
                )
        del known
        steps = each_column(self._one_step_change, measured / self._unit) * self._unit
        inputs = self._values / self._unit
        # 0 where every gap-free segment of a column is constant: MASE is not defined then
        self._naive_mae = steps.tolist() if steps.all() else None
        weights = tuple((self._std / steps).tolist()) * data.horizon if self._naive_mae else ()
        inputs -= self._mean / self._unit
        inputs /= self._std / self._unit
        self._refuse_outliers(inputs)
        self._cycles: tuple[str, ...] = ()
        if data.time_features:
            assert record.clock is not None
            self._cycles, phases = time_features(record.clock[: self._size], trained)
            inputs = np.concatenate([inputs, phases], axis=1)
        outputs = len(record.columns) * data.horizon
        self.task = Task("many_to_one", "values", "values", inputs.shape[1], outputs, mase_weights=weights)
        self._all_windows = torch.from_numpy(inputs).float().unfold(0, data.seq_len + data.horizon, 1)
        self._side: dict[str, Tensor] = {}
        if data.max_gap:
            columns = {"observed": observed.astype(np.float32), "elapsed": since}
            self._side = {name: torch.from_numpy(col).unfold(0, data.seq_len, 1) for name, col in columns.items()}
        self.steps_per_epoch = max(1, len(self._starts["train"]) // data.batch_size)
        self._epoch: tuple[int, Tensor] | None = None
        self.notes = self._with_warnings(record.notes, inputs)

    @classmethod
    def load(cls, data: DataConfig, seed: int = 0) -> SeriesData:
        """The series of that name, or columns of the CSV file at ``data.path``."""
        return cls(read(data), data, seed, data.period or data_set(str(data.name)).period)

    def _windows(self, part: Part) -> np.ndarray:
        """Where the part's windows of T + horizon steps without a gap that is too long begin, int64, in order."""
        seq_len = self._data.seq_len
        length = seq_len + self._data.horizon
        starts, steps = [np.empty(0, np.int64)], 0
        for start, stop in self._parts[part]:
            steps += stop - start
            missing = np.concatenate([[0], np.cumsum(np.isnan(self._values[start:stop]).any(1))])
            if stop - start >= length:
                usable = missing[length:] == missing[:-length]
                if self._observed is not None:
                    seen = np.concatenate([[0], np.cumsum(self._observed[start:stop])])
                    last = seen[seq_len : len(seen) - self._data.horizon]
                    usable &= (seen[length:] - last == self._data.horizon) & (last > seen[:-length])
                starts.append(np.flatnonzero(usable) + start)
        joined = np.concatenate(starts)
        if not len(joined):
            raise UserError(
                f"the {part} part of {self._data.label!r} ({steps} of {len(self._values)} time steps) has no "
                f"gap-free window of {length} = data.seq_len + data.horizon; lower them or take a longer record."
            )
        return joined

    def _one_step_change(self, column: np.ndarray) -> float:
        """Mean absolute difference of neighbours in the training part."""
        spans = [np.diff(column[start:stop]) for start, stop in self._parts["train"]]
        return float(np.nanmean(np.abs(np.concatenate(spans))))

    def _refuse_outliers(self, inputs: np.ndarray) -> None:
        """What is so far from the training part that its square is no float32 cannot be scored."""
        largest = np.fmax(np.fmax.reduce(inputs), -np.fmin.reduce(inputs))
        if (largest > LARGEST).any():
            row, column = map(int, np.argwhere(np.abs(inputs) > LARGEST)[0])
            raise UserError(
                f"column {self.columns[column]!r} of {self._data.label!r} has {self._values[row, column]:g} in time "
                f"step {row}, {abs(inputs[row, column]):.2g} standard deviations of the training part from its mean; "
                "correct it, or take its logarithm."
            )

    def _with_warnings(self, on_file: ReadingNotes | None, inputs: np.ndarray) -> ReadingNotes | None:
        """The notes on a user's file, and what the split into windows adds to them; of others a warning alone."""
        notes = copy.deepcopy(on_file) or ReadingNotes()
        scored: tuple[Part, ...] = ("val", "test") if on_file else ()
        for part in scored:
            if len(self._starts[part]) < FEW:
                notes.warn(
                    f"the {part} part has {plural(len(self._starts[part]), 'window')}: its scores are hardly more than "
                    "chance; take a longer record, or lower data.seq_len or data.horizon",
                    misleading=True,
                )
        if (trained := len(self._starts["train"])) < self._data.batch_size:
            notes.warn(
                f"data.batch_size {self._data.batch_size} is more than the {plural(trained, 'training window')}, so "
                "that a batch has some of them twice; lower it"
            )
        for part in scored:
            rows = np.concatenate([inputs[start:stop] for start, stop in self._parts[part]])
            for name, shift in zip(self.columns, np.nanmean(rows, axis=0), strict=False):
                if abs(shift) > SHIFTED:
                    notes.warn(
                        f"column {name!r}: the {part} part's mean is {abs(shift):.2g} standard deviations "
                        f"{'above' if shift > 0 else 'below'} the training part's; data.relative true is made for that"
                    )
        return notes if on_file or notes.doubtful else None

    def drawn(self) -> tuple[np.ndarray, np.ndarray | None, dict[Part, list[tuple[int, int]]]]:
        """What a figure of the record shows: (N, C) values in original units, (N,) times if known, and the parts."""
        return self._raw[: self._size], self._record.clock, self._parts

    def altered(self) -> SeriesData:
        """The same with other values in the val and test parts: what is trained on must not change by that."""
        values = self._raw.copy()
        for part in ("val", "test"):
            for start, stop in self._parts[part]:
                values[start:stop] = values[start:stop][::-1] * 3 + self._std
        fingerprint = f"{self.fingerprint} altered"
        record = dataclasses.replace(self._record, values=values, notes=None, fingerprint=fingerprint)
        return SeriesData(record, self._data, self._seed, self._period)

    def _batch(self, starts: Tensor) -> Batch:
        windows = self._all_windows[starts].transpose(1, 2)
        seq_len, columns = self._data.seq_len, len(self.columns)
        if self._data.relative:
            windows[..., :columns] -= windows[:, seq_len - 1 : seq_len, :columns].clone()
        side = {name: values[starts] for name, values in self._side.items()}
        return Batch(windows[:, :seq_len], windows[:, seq_len:, :columns].flatten(1), side=side or None)

    def train_batch(self, step: int) -> Batch:
        """A pure function of (seed, step): every window at most once an epoch, in an order drawn for each epoch."""
        starts, size = self._starts["train"], self._data.batch_size
        epoch, index = divmod(step, self.steps_per_epoch)
        if self._epoch is None or self._epoch[0] != epoch:
            order = torch.randperm(len(starts), generator=generator("series", self._seed, epoch))
            self._epoch = (epoch, torch.from_numpy(starts)[order])
        # the modulus only matters where there are fewer windows than a batch holds
        return self._batch(self._epoch[1][torch.arange(index * size, (index + 1) * size) % len(starts)])

    def evaluation(self, part: Part, stateful: bool = False, limit: int | None = None) -> Batches:
        """All of a part's windows (of train: its last, as many as test has), stride 1, in order; none is stateful.

        With a limit at most so many time steps are read: limit / seq_len windows (at least one), evenly spread.
        """
        starts = torch.from_numpy(self._starts[part])
        if part == "train":
            starts = starts[-len(self._starts["test"]) :]
        if limit is not None:
            starts = starts[evenly(max(1, limit // self._data.seq_len), len(starts))]
        groups = starts.split(EVALUATION_BATCH)
        return Batches(lambda index: self._batch(groups[index]), len(groups))

    def probe_batch(self, seq_len: int, batch_size: int) -> Batch:
        """Up to ``batch_size`` validation windows; their length is data.seq_len, whatever ``seq_len`` says."""
        starts = torch.from_numpy(self._starts["val"])
        return self._batch(starts[evenly(batch_size, len(starts))])

    def references(self) -> dict[str, float]:
        """_mse, _mae and _mase of the training mean, persistence, seasonal_naive (with a period) and ridge."""
        data = self._data
        bounds = list(itertools.chain(*self._parts.values()))
        options = [self._values.shape, bounds, data.seq_len, data.horizon, self._period]
        first = b"" if self._record.first is None else self._record.first.tobytes()
        first += b"" if self._observed is None else self._observed.tobytes()
        key = hashlib.sha256(self._values.tobytes() + json.dumps(options).encode() + first).hexdigest()
        # with a number: raise it when a reference's definition changes
        return cached_json(f"series-references-1-{key[:32]}.json", self._references)

    def naive_references(self) -> dict[str, float]:
        """What `references` has without the ridge regression, which takes longer than all the rest."""
        return self._references(ridge=False)

    def _references(self, ridge: bool = True) -> dict[str, float]:
        unit, naive_mae = self._unit, self._naive_mae
        return forecast_references(
            self._values / unit, self._starts, self._data.seq_len, self._data.horizon, self._period,
            self._mean / unit, self._std / unit, list(naive_mae / unit) if naive_mae else None,
            self._record.first, ridge,
        )  # fmt: skip

    def facts(self) -> dict[str, Any]:
        """Sizes, holes, statistics of each column in original units, and the record's beginning."""
        used = np.concatenate([np.arange(*span) for span in itertools.chain(*self._parts.values())])
        raw, missing = np.isnan(self._raw[used]).any(1), np.isnan(self._values[used]).any(1)

        def named(figures: Any) -> dict[str, float]:
            return dict(zip(self.columns, map(float, figures), strict=True))

        return {
            "columns": list(self.columns),
            "time_features": list(self._cycles),
            "time_steps": self._size,
            "split": {part: sum(stop - start for start, stop in spans) for part, spans in self._parts.items()},
            "windows": {part: len(starts) for part, starts in self._starts.items()},
            "filled": int((raw & ~missing).sum()),
            "missing": int(missing.sum()),
            "segments": segments(~missing),
            "train_mean": named(self._mean),
            "train_std": named(self._std),
            "naive_mae": named(self._naive_mae) if self._naive_mae else None,
            "min": named(np.nanmin(self._raw, axis=0)),
            "max": named(np.nanmax(self._raw, axis=0)),
            "period": self._period,
            "steps_per_epoch": self.steps_per_epoch,
            **({"notes": self.notes.plain()} if self.notes else {}),
            "sample": {name: [float(v) for v in self._raw[:8, at]] for at, name in enumerate(self.columns)},
        }
