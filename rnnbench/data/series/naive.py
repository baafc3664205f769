"""Forecasts that need no training: the lines that every forecaster must beat."""

from __future__ import annotations

import numpy as np


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
    ahead = np.arange(1, horizon + 1)
    at = last[:, None] + ahead - -(-ahead // period) * period
    source = np.where(at >= 0, _latest(values, period)[np.maximum(at, 0)], -1)
    earliest = 0 if first is None else first[:, None]
    return {"persistence": persistence, "seasonal_naive": np.where(source >= earliest, values[source], persistence)}


def _latest(values: np.ndarray, period: int) -> np.ndarray:
    """For each i the largest of i, i − period, i − 2·period, … whose value is known; −1 where there is none."""
    rows = -(-len(values) // period)
    index = np.full(rows * period, -1)
    index[: len(values)] = np.where(np.isnan(values), -1, np.arange(len(values)))
    return np.maximum.accumulate(index.reshape(rows, period), axis=0).ravel()[: len(values)]
