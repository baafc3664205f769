"""What a gradient-flow curve says in one number; nothing here imports torch.

Curves are log G(k), natural, at lags k = 0 … K. Half-lives and horizons are in states back, slopes in nats a lag.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Curve = NDArray[np.float64]

#: A curve is fitted until G(k)/G(0) falls below this: what follows is rounding.
FLOOR = 1e-12
#: Bits a symbol that a longer context must save to be worth anything: where functional memory ends.
WORTH = 0.01


def fit(log_g: Curve, start: int = 0) -> tuple[float, float]:
    """Slope and R² of the least-squares line through lags ``start`` … the last before G/G(0) first falls below 1e−12.

    A curve that is down there before it has two such lags is fitted from lag 0 over its first two.
    """
    relative = np.maximum(log_g - log_g[0], 100 * math.log(FLOOR))  # a gradient of exactly zero has no logarithm
    below = np.flatnonzero(relative < math.log(FLOOR))
    end = int(below[0]) if below.size else relative.size
    if end < start + 2:
        start, end = 0, max(end, 2)
    lags = np.arange(start, end) - (start + end - 1) / 2
    values = relative[start:end] - relative[start:end].mean()
    slope = float(lags @ values / (lags @ lags))
    spread = float(values @ values)
    residual = float(((values - slope * lags) ** 2).sum())
    return slope, 1.0 - residual / spread if spread > 0 else 1.0


def fit_half_life(log_g: Curve, start: int = 1) -> tuple[float, float]:
    """Half-life τ ln 2 of log G(k) = a − k/τ, and the fit's R²; infinite where the curve does not fall.

    Lag 0 is left out by default: at the last step an LSTM's loss reaches h alone.
    """
    slope, r2 = fit(log_g, start)
    return (-math.log(2) / slope if slope < -1e-12 else math.inf), r2


def empirical_half_life(log_g: Curve, start: int = 1) -> float:
    """Steps after lag ``start`` until G has first halved, without assuming a shape; infinite where it never does."""
    if start >= len(log_g):
        return math.nan
    halved = np.flatnonzero(log_g[start:] <= log_g[start] - math.log(2))
    return float(halved[0]) if halved.size else math.inf


def effective_horizon(log_g: Curve, epsilon: float = 0.01) -> int:
    """H_ε = max{k : G(k) / max_j G(j) ≥ ε}, in steps."""
    return int(np.flatnonzero(log_g - log_g.max() >= math.log(epsilon))[-1])
