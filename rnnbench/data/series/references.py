"""Forecasts that need no training: the baselines that a forecaster is held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from rnnbench.data.source import Part, evenly

if TYPE_CHECKING:
    from sklearn.linear_model import Ridge

#: Penalties to choose from, on the mean squared error of one example.
PENALTIES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
#: At most so many examples are fitted (evenly spread), so many numbers of theirs held, and so many inputs of one.
EXAMPLES, NUMBERS, INPUTS = 20_000, 20_000_000, 2048


def naive_forecasts(
    values: np.ndarray, last: np.ndarray, horizon: int, period: int | None, first: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Persistence and, where there is a period, seasonal-naive (Hyndman & Athanasopoulos 2021, section 5.2).

    persistence repeats the last value seen. seasonal_naive takes the value a whole number of periods before the target:
    the latest that was known at the forecast's origin and is in the record; persistence's where there is none.

    Args:
        values: (N,) the record, NaN where it has gaps.
        last: (M,) index of the last value seen, for each forecast.
        horizon: Steps ahead.
        period: Seasonal period in steps.
        first: (M,) the record's first index that is of each forecast's series; None where all of it is.

    Returns:
        Name → (M, horizon) forecasts, in the record's units.
    """
    persistence = np.repeat(values[last][:, None], horizon, axis=1)
    if period is None:
        return {"persistence": persistence}
    rows = -(-len(values) // period)
    known = np.full(rows * period, -1)
    known[: len(values)] = np.where(np.isnan(values), -1, np.arange(len(values)))
    # for each index the largest of it, it − period, it − 2·period, … whose value is known; −1 where there is none
    latest = np.maximum.accumulate(known.reshape(rows, period), axis=0).ravel()
    ahead = np.arange(1, horizon + 1)
    at = last[:, None] + ahead - -(-ahead // period) * period
    source = np.where(at >= 0, latest[np.maximum(at, 0)], -1)
    earliest = 0 if first is None else first[:, None]
    return {"persistence": persistence, "seasonal_naive": np.where(source >= earliest, values[source], persistence)}


def fit(x: np.ndarray, y: np.ndarray, x_val: np.ndarray, y_val: np.ndarray) -> tuple[Ridge, np.ndarray]:
    """The map that minimises mean |y − x W − b|² + λ |W|² with the λ that does best on validation.

    Args:
        x: (M, F) inputs of training, float64; x_val those of validation.
        y: (M, O) targets of training; y_val those of validation.

    Returns:
        The map, and its (O,) mean squared errors on validation.
    """
    from sklearn.linear_model import Ridge

    best: tuple[Ridge, np.ndarray] | None = None
    for penalty in PENALTIES:
        model = Ridge(alpha=penalty * len(x)).fit(x, y)
        errors = ((model.predict(x_val).reshape(y_val.shape) - y_val) ** 2).mean(0)
        if best is None or errors.mean() < best[1].mean():
            best = model, errors
    assert best is not None
    return best


def ridge_forecasts(values: np.ndarray, starts: Mapping[Part, np.ndarray], seq_len: int, horizon: int) -> np.ndarray:
    """Forecasts of the test windows from a fit on the training windows.

    Each channel is forecast from its own last T values, or from those of all channels where that does better on
    validation (and T times channels is at most INPUTS).

    Args:
        values: (N, C) the series, standardised.
        starts: Where each part's windows begin.
        seq_len: Values T that are read.
        horizon: Steps ahead.

    Returns:
        (M, horizon, C) forecasts, standardised.
    """
    windows = sliding_window_view(values, seq_len + horizon, axis=0)  # (N − T − horizon + 1, C, T + horizon)
    channels, test = values.shape[1], starts["test"]

    def inputs(at: np.ndarray, group: slice) -> np.ndarray:
        return windows[:, group, :seq_len][at].reshape(len(at), -1)

    best = np.full(channels, np.inf)
    out = np.empty((len(test), horizon, channels))
    groups = [slice(channel, channel + 1) for channel in range(channels)]
    if 1 < channels <= INPUTS // seq_len:
        groups.append(slice(0, channels))
    for group in groups:
        width = group.stop - group.start
        most = max(1, min(EXAMPLES, NUMBERS // (width * seq_len)))
        examples = []
        for part in ("train", "val"):
            at = starts[part][evenly(most, len(starts[part])).numpy()]
            examples += [inputs(at, group), windows[:, group, seq_len:][at].reshape(len(at), -1)]
        model, errors = fit(*examples)
        pieces = np.array_split(test, -(-len(test) // most))
        forecasts = np.concatenate([model.predict(inputs(some, group)) for some in pieces]).reshape(-1, width, horizon)
        for place, error in enumerate(errors.reshape(width, horizon).mean(1)):
            channel = group.start + place
            if error < best[channel]:
                best[channel] = error
                out[:, :, channel] = forecasts[:, place]
    return out


def forecast_references(
    values: np.ndarray,
    starts: Mapping[Part, np.ndarray],
    seq_len: int,
    horizon: int,
    period: int | None,
    mean: np.ndarray,
    std: np.ndarray,
    naive_mae: Sequence[float] | None,
    first: np.ndarray | None = None,
    ridge: bool = True,
) -> dict[str, float]:
    """_mse, _mae (standardised) and _mase of the training mean, persistence, seasonal_naive and ridge.

    Args:
        values: (N, C) the series in original units, NaN in its gaps.
        starts: Where each part's windows begin.
        seq_len: Values T that are read.
        horizon: Steps ahead.
        period: Seasonal period in steps; None for none, and no seasonal_naive.
        mean: (C,) of the training part, as std and naive_mae, its mean absolute one-step change.
        std: See mean.
        naive_mae: See mean; None where MASE is not defined.
        first: (N,) the first row of the series that each row is of; None where the rows are one series.
        ridge: Whether to fit the ridge regression too, which takes the longest.
    """
    last = starts["test"] + seq_len - 1
    fitted = ridge_forecasts((values - mean) / std, starts, seq_len, horizon) if ridge else None
    by_channel: dict[str, list[float]] = {}
    for channel, series in enumerate(values.T):
        truth = series[last[:, None] + np.arange(1, horizon + 1)]
        forecasts = {"mean": np.full(truth.shape, mean[channel])}
        forecasts |= naive_forecasts(series, last, horizon, period, None if first is None else first[last])
        if fitted is not None:
            forecasts["ridge"] = fitted[:, :, channel] * std[channel] + mean[channel]
        for name, forecast in forecasts.items():
            error = forecast - truth
            mae = float(np.abs(error).mean())
            figures = {"mse": float((error**2).mean()) / std[channel] ** 2, "mae": mae / std[channel]}
            if naive_mae is not None:
                figures["mase"] = mae / naive_mae[channel]
            for measure, figure in figures.items():
                by_channel.setdefault(f"{name}_{measure}", []).append(float(figure))
    return {name: sum(figures) / len(figures) for name, figures in by_channel.items()}
