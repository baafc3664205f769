"""What needs no network, scored on the test part's windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rnnbench.data.series.naive import naive_forecasts
from rnnbench.data.series.ridge import ridge_forecasts
from rnnbench.data.source import Part


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
    found: dict[str, list[float]] = {}
    for channel, series in enumerate(values.T):
        truth = series[last[:, None] + np.arange(1, horizon + 1)]
        lines = {"mean": np.full(truth.shape, mean[channel])}
        lines |= naive_forecasts(series, last, horizon, period, None if first is None else first[last])
        if fitted is not None:
            lines["ridge"] = fitted[:, :, channel] * std[channel] + mean[channel]
        for name, forecast in lines.items():
            error = forecast - truth
            mae = float(np.abs(error).mean())
            figures = {"mse": float((error**2).mean()) / std[channel] ** 2, "mae": mae / std[channel]}
            if naive_mae is not None:
                figures["mase"] = mae / naive_mae[channel]
            for measure, figure in figures.items():
                found.setdefault(f"{name}_{measure}", []).append(float(figure))
    return {name: sum(figures) / len(figures) for name, figures in found.items()}
