"""Ridge regression (Hoerl & Kennard 1970): the line that shows what of a series is linear."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from rnnbench.data.source import Part, evenly

#: Of what the map is fitted on, and what its penalty is chosen on.
PARTS: tuple[Part, Part] = ("train", "val")
#: Penalties to choose from, on the mean squared error of one example.
PENALTIES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
#: At most so many examples are fitted (evenly spread), so many numbers of theirs held, and so many inputs of one.
EXAMPLES, NUMBERS, INPUTS = 20_000, 20_000_000, 2048


class Linear(NamedTuple):
    """A fitted map: x (M, F) → x @ weights (F, O) + bias (O,), with (O,) squared errors on validation."""

    weights: np.ndarray
    bias: np.ndarray
    penalty: float
    errors: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return x @ self.weights + self.bias


def fit(x: np.ndarray, y: np.ndarray, x_val: np.ndarray, y_val: np.ndarray) -> Linear:
    """Minimises mean |y − x W − b|² + λ |W|², in closed form, with the λ that does best on validation.

    Args:
        x: (M, F) inputs of training, float64; x_val those of validation.
        y: (M, O) targets of training; y_val those of validation.
    """
    x_mean, y_mean = x.mean(0), y.mean(0)
    centred = x - x_mean
    gram, moment = centred.T @ centred / len(x), centred.T @ (y - y_mean) / len(x)
    found = []
    for penalty in PENALTIES:
        weights = np.linalg.solve(gram + penalty * np.eye(len(gram)), moment)
        bias = y_mean - x_mean @ weights
        found.append(Linear(weights, bias, penalty, ((x_val @ weights + bias - y_val) ** 2).mean(0)))
    return min(found, key=lambda one: float(one.errors.mean()))


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
    channels = values.shape[1]

    def inputs(at: np.ndarray, group: slice) -> np.ndarray:
        return windows[:, group, :seq_len][at].reshape(len(at), -1)

    def targets(at: np.ndarray, group: slice) -> np.ndarray:
        return windows[:, group, seq_len:][at].reshape(len(at), -1)

    best = np.full(channels, np.inf)
    out = np.empty((len(starts["test"]), horizon, channels))
    groups = [slice(channel, channel + 1) for channel in range(channels)]
    if 1 < channels <= INPUTS // seq_len:
        groups.append(slice(0, channels))
    for group in groups:
        width = group.stop - group.start
        most = max(1, min(EXAMPLES, NUMBERS // (width * seq_len)))
        train, val = (starts[part][evenly(most, len(starts[part])).numpy()] for part in PARTS)
        linear = fit(inputs(train, group), targets(train, group), inputs(val, group), targets(val, group))
        forecasts = np.concatenate(
            [linear(inputs(some, group)) for some in np.array_split(starts["test"], -(-len(starts["test"]) // most))]
        ).reshape(-1, width, horizon)
        for place, error in enumerate(linear.errors.reshape(width, horizon).mean(1)):
            channel = group.start + place
            if error < best[channel]:
                best[channel] = error
                out[:, :, channel] = forecasts[:, place]
    return out
