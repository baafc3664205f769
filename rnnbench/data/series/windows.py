"""Forecasting: from T steps of a series, the next `horizon` ones.

Short holes (up to three missing values) are filled linearly, longer ones stay: no window crosses them. The record is
cut in time before that, 70/10/20 or by its standard split, so nothing of a later part reaches an earlier one.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnnbench.cache import cached_json
from rnnbench.config import DataConfig
from rnnbench.data.catalog import entry
from rnnbench.data.series.clock import time_features
from rnnbench.data.series.read import read
from rnnbench.data.series.record import Record, each_column, fill, segments
from rnnbench.data.series.references import forecast_references
from rnnbench.data.source import Batches, Part, Source, evenly, generator
from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError

#: Windows in an evaluation batch.
EVALUATION_BATCH = 256


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

    Raises:
        UserError: A part has no gap-free window, or a column of the training part is constant.
    """

    def __init__(self, record: Record, data: DataConfig, seed: int = 0, period: int | None = None) -> None:
        self._data, self._seed, self._period = data, seed, period
        self.fingerprint, self._columns = record.fingerprint, record.columns
        size = len(record.values)
        train, val, size = record.ends or (size * 7 // 10, size * 8 // 10, size)
        self._bounds = {"train": (0, train), "val": (train, val), "test": (val, size)}
        self._raw = record.values[:size]
        parts = [self._raw[slice(*bounds)] for bounds in self._bounds.values()]
        self._values = np.concatenate([np.stack([fill(column) for column in part.T], axis=1) for part in parts])
        self._starts = {part: self._windows(part) for part in self._bounds}
        known = self._values[:train]
        self._mean, self._std = each_column(np.nanmean, known), each_column(np.nanstd, known)
        for at, column in enumerate(record.columns):
            if np.nanmin(known[:, at]) == np.nanmax(known[:, at]):  # of equal floats the deviation need not be 0
                raise UserError(
                    f"the training part of {data.label!r} is constant at {self._mean[at]:g} in column {column!r}; "
                    "take another."
                )
        steps = each_column(lambda one: float(np.nanmean(np.abs(np.diff(one)))), known)
        # 0 where every gap-free stretch of a column is constant: MASE is not defined then
        self._naive_mae = steps.tolist() if steps.all() else None
        weights = tuple((self._std / steps).tolist()) * data.horizon if self._naive_mae else ()
        inputs = (self._values - self._mean) / self._std
        self._cycles: tuple[str, ...] = ()
        if data.time_features:
            assert record.clock is not None
            self._cycles, phases = time_features(record.clock[:size], train)
            inputs = np.concatenate([inputs, phases], axis=1)
        outputs = len(record.columns) * data.horizon
        self.task = Task("many_to_one", "values", "values", inputs.shape[1], outputs, mase_weights=weights)
        self._all_windows = torch.from_numpy(inputs).float().unfold(0, data.seq_len + data.horizon, 1)
        self.steps_per_epoch = max(1, len(self._starts["train"]) // data.batch_size)
        self._epoch: tuple[int, Tensor] | None = None

    @classmethod
    def load(cls, data: DataConfig, seed: int = 0) -> SeriesData:
        """The series of that name, or columns of the CSV file at ``data.path``."""
        return cls(read(data), data, seed, data.period or entry(str(data.name)).period)

    def _windows(self, part: str) -> np.ndarray:
        """Where the part's gap-free windows of T + horizon steps begin, int64, in order."""
        start, stop = self._bounds[part]
        span = self._data.seq_len + self._data.horizon
        missing = np.concatenate([[0], np.cumsum(np.isnan(self._values[start:stop]).any(1))])
        starts = np.flatnonzero(missing[span:] == missing[:-span]) if stop - start >= span else np.empty(0, np.int64)
        if not len(starts):
            raise UserError(
                f"the {part} part of {self._data.label!r} ({stop - start} of {len(self._values)} time steps) has no "
                f"gap-free window of {span} = data.seq_len + data.horizon; lower them or take a longer record."
            )
        return starts + start

    def _batch(self, starts: Tensor) -> Batch:
        windows = self._all_windows[starts].transpose(1, 2)
        seq_len, columns = self._data.seq_len, len(self._columns)
        if self._data.relative:
            windows[..., :columns] -= windows[:, seq_len - 1 : seq_len, :columns].clone()
        return Batch(windows[:, :seq_len], windows[:, seq_len:, :columns].flatten(1))

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
        """All of a part's windows, stride 1, in order.

        Args:
            part: Of train, its end: as many windows as test has.
            stateful: Windows are unrelated: no difference.
            limit: At most so many time steps read: limit / seq_len windows (at least one), evenly spread.
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
        options = [self._values.shape, list(self._bounds.values()), data.seq_len, data.horizon, self._period]
        key = hashlib.sha256(self._values.tobytes() + json.dumps(options).encode()).hexdigest()
        # with a number: raise it when a reference's definition changes
        return cached_json(
            f"series-references-1-{key[:32]}.json",
            lambda: dict(
                forecast_references(
                    self._values, self._starts, data.seq_len, data.horizon, self._period,
                    self._mean, self._std, self._naive_mae,
                )
            ),
        )  # fmt: skip

    def facts(self) -> dict[str, Any]:
        """Sizes, holes, statistics of each column in original units, and the record's beginning."""
        raw, missing = np.isnan(self._raw).any(1), np.isnan(self._values).any(1)

        def named(figures: Any) -> dict[str, float]:
            return dict(zip(self._columns, map(float, figures), strict=True))

        return {
            "columns": list(self._columns),
            "time_features": list(self._cycles),
            "time_steps": len(self._raw),
            "split": {part: stop - start for part, (start, stop) in self._bounds.items()},
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
            "sample": {name: [float(v) for v in self._raw[:8, at]] for at, name in enumerate(self._columns)},
        }
