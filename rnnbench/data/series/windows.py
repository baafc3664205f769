"""Forecasting: from T values of a measured series, the next `horizon` ones.

Short holes (up to three missing values) are filled linearly, longer ones stay: no window crosses them. The record is
cut 70/10/20 in time before that, so nothing of a later part reaches an earlier one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnnbench.config import DataConfig
from rnnbench.data.catalog import entry
from rnnbench.data.series import readers
from rnnbench.data.series.naive import naive_forecasts
from rnnbench.data.series.readers import Record
from rnnbench.data.source import Batches, Part, Source, evenly, generator
from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError

#: The longest hole that is filled, in time steps: 15 minutes of glucose, 90 minutes of sea temperature.
LONGEST_FILLED = 3
#: Windows in an evaluation batch.
EVALUATION_BATCH = 256


class SeriesData(Source):
    """A series as windows: x (B, T, 1) and y (B, horizon), float32, in standard deviations of the training part.

    Args:
        record: The series.
        data: Window length, batch size, horizon.
        seed: Decides the order of the training windows.
        period: Seasonal period in time steps, for the seasonal-naive reference; None for none.

    Raises:
        UserError: A part has no gap-free window, or the training part is constant.
    """

    def __init__(self, record: Record, data: DataConfig, seed: int = 0, period: int | None = None) -> None:
        self._record, self._data, self._seed, self._period = record, data, seed, period
        self.fingerprint = record.fingerprint
        size = len(record.values)
        train, val = size * 7 // 10, size * 8 // 10
        self._bounds = {"train": (0, train), "val": (train, val), "test": (val, size)}
        self._values = np.concatenate([fill(record.values[slice(*bounds)]) for bounds in self._bounds.values()])
        self._starts = {part: torch.from_numpy(self._windows(part)) for part in self._bounds}
        known = self._values[:train]
        self._mean, self._std = float(np.nanmean(known)), float(np.nanstd(known))
        if np.nanmin(known) == np.nanmax(known):  # not by the deviation: of equal floats it need not be 0
            raise UserError(f"the training part of {data.label!r} is constant at {self._mean:g}; take another series.")
        steps = np.abs(np.diff(known))
        # 0 where every gap-free stretch is constant: MASE is not defined then
        self._naive_mae = float(np.nanmean(steps)) or None
        weights = (self._std / self._naive_mae,) if self._naive_mae else ()
        self.task = Task("many_to_one", "values", "values", 1, data.horizon, mase_weights=weights)
        standard = torch.from_numpy((self._values - self._mean) / self._std).float()
        self._all_windows = standard.unfold(0, data.seq_len + data.horizon, 1)
        self.steps_per_epoch = max(1, len(self._starts["train"]) // data.batch_size)
        self._epoch: tuple[int, Tensor] | None = None

    @classmethod
    def load(cls, data: DataConfig, seed: int = 0) -> SeriesData:
        """The measured series of that name, or the column of the CSV file at ``data.path``."""
        item = entry(str(data.name))
        if data.path is not None:
            record = readers.read_csv(data.path, data.column)
        else:
            record = readers.read_glucose() if item.name == "glucose" else readers.read_sea_temperature()
        return cls(record, data, seed, item.period)

    def _windows(self, part: str) -> np.ndarray:
        """Where the part's gap-free windows of T + horizon steps begin, int64, in order."""
        start, stop = self._bounds[part]
        span = self._data.seq_len + self._data.horizon
        missing = np.concatenate([[0], np.cumsum(np.isnan(self._values[start:stop]))])
        starts = np.flatnonzero(missing[span:] == missing[:-span]) if stop - start >= span else np.empty(0, np.int64)
        if not len(starts):
            raise UserError(
                f"the {part} part of {self._data.label!r} ({stop - start} of {len(self._values)} time steps) has no "
                f"gap-free window of {span} = data.seq_len + data.horizon; lower them or take a longer record."
            )
        return starts + start

    def _batch(self, starts: Tensor) -> Batch:
        windows = self._all_windows[starts]
        return Batch(windows[:, : self._data.seq_len, None], windows[:, self._data.seq_len :])

    def train_batch(self, step: int) -> Batch:
        """A pure function of (seed, step): every window at most once an epoch, in an order drawn for each epoch."""
        starts, size = self._starts["train"], self._data.batch_size
        epoch, index = divmod(step, self.steps_per_epoch)
        if self._epoch is None or self._epoch[0] != epoch:
            order = torch.randperm(len(starts), generator=generator("series", self._seed, epoch))
            self._epoch = (epoch, starts[order])
        # the modulus only matters where there are fewer windows than a batch holds
        return self._batch(self._epoch[1][torch.arange(index * size, (index + 1) * size) % len(starts)])

    def evaluation(self, part: Part, stateful: bool = False, limit: int | None = None) -> Batches:
        """All of a part's windows, stride 1, in order.

        Args:
            part: Of train, its end: as many windows as test has.
            stateful: Windows are unrelated: no difference.
            limit: At most so many time steps read: limit / seq_len windows (at least one), evenly spread.
        """
        starts = self._starts[part]
        if part == "train":
            starts = starts[-len(self._starts["test"]) :]
        if limit is not None:
            starts = starts[evenly(max(1, limit // self._data.seq_len), len(starts))]
        groups = starts.split(EVALUATION_BATCH)
        return Batches(lambda index: self._batch(groups[index]), len(groups))

    def probe_batch(self, seq_len: int, batch_size: int) -> Batch:
        """Up to ``batch_size`` validation windows; their length is data.seq_len, whatever ``seq_len`` says."""
        starts = self._starts["val"]
        return self._batch(starts[evenly(batch_size, len(starts))])

    def references(self) -> dict[str, float]:
        """_mse, _mae (standardised) and _mase of persistence and, with a period, seasonal_naive on all test windows."""
        data, starts = self._data, self._starts["test"].numpy()
        last = starts + data.seq_len - 1
        truth = self._values[last[:, None] + np.arange(1, data.horizon + 1)]
        out = {}
        for name, forecast in naive_forecasts(self._values, last, data.horizon, self._period).items():
            error = forecast - truth
            mae = float(np.abs(error).mean())
            out[f"{name}_mse"] = float((error**2).mean()) / self._std**2
            out[f"{name}_mae"] = mae / self._std
            if self._naive_mae is not None:
                out[f"{name}_mase"] = mae / self._naive_mae
        return out

    def facts(self) -> dict[str, Any]:
        """Sizes, holes, statistics in original units, and the record's beginning."""
        raw, there = self._record.values, ~np.isnan(self._values)
        return {
            "column": self._record.column,
            "time_steps": len(raw),
            "split": {part: stop - start for part, (start, stop) in self._bounds.items()},
            "windows": {part: len(starts) for part, starts in self._starts.items()},
            "filled": int((there & np.isnan(raw)).sum()),
            "missing": int((~there).sum()),
            "segments": segments(self._values),
            "train_mean": self._mean,
            "train_std": self._std,
            "naive_mae": self._naive_mae,
            "min": float(np.nanmin(raw)),
            "max": float(np.nanmax(raw)),
            "period": self._period,
            "steps_per_epoch": self.steps_per_epoch,
            "sample": [float(value) for value in raw[:8]],
        }


def fill(values: np.ndarray) -> np.ndarray:
    """Holes of up to LONGEST_FILLED missing values (NaN) between two known ones, filled on the line between them."""
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        return values
    out = np.interp(np.arange(len(values)), known, values[known], left=np.nan, right=np.nan)
    holes = np.diff(known) - 1
    for before, length in zip(known[:-1], holes, strict=True):
        if length > LONGEST_FILLED:
            out[before + 1 : before + 1 + length] = np.nan
    return out


def segments(values: np.ndarray) -> int:
    """Gap-free stretches of the series."""
    there = ~np.isnan(values)
    return int(there[:1].sum() + (there[1:] & ~there[:-1]).sum())
