"""Do two quantities rise together? Spearman's rank correlation, and how sure so few points make it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Fewer points have no interval worth the name.
LEAST = 4
RESAMPLES = 5000


@dataclass(frozen=True)
class Correlation:
    """Spearman's ρ between two quantities of n points.

    Args:
        rho: Pearson's correlation of the ranks, ties sharing their mean rank; None where either is constant.
        low: The lower end of its 95 % interval; None where there is none.
        high: The upper end.
        points: n.
        undefined: The share of resamples in which either quantity was constant.
    """

    rho: float | None
    low: float | None
    high: float | None
    points: int
    undefined: float

    def text(self) -> str:
        """``ρ = 0.42 (95 %: −0.10 … 0.81), 12 cells``."""
        if self.rho is None:
            return f"ρ undefined, {self.points} cells"
        interval = "" if self.low is None or self.high is None else f" (95 %: {_two(self.low)} … {_two(self.high)})"
        return f"ρ = {_two(self.rho)}{interval}, {self.points} cells"


def spearman(x: Sequence[float], y: Sequence[float]) -> Correlation:
    """Spearman's ρ of two equally long sequences, infinities allowed, with a percentile bootstrap over the points.

    A resample in which either quantity is constant has no ρ. It says nothing about the sign, so it is left out of the
    percentiles and counted; where more than one in twenty are so, there is no interval. Resampling is seeded: the
    same points give the same interval.
    """
    if len(x) < 2:
        return Correlation(None, None, None, len(x), 1.0)
    pairs = np.array([x, y], dtype=np.float64)
    rho = float(_rank_correlations(pairs[:, None])[0])
    drawn = np.random.default_rng(0).integers(len(x), size=(RESAMPLES, len(x)))
    found = _rank_correlations(pairs[:, drawn])
    defined = found[~np.isnan(found)]
    undefined = 1 - len(defined) / RESAMPLES
    low = high = None
    if not np.isnan(rho) and len(x) >= LEAST and undefined <= 0.05:
        low, high = (float(end) for end in np.quantile(defined, (0.025, 0.975)))
    return Correlation(None if np.isnan(rho) else rho, low, high, len(x), undefined)


def _rank_correlations(pairs: np.ndarray) -> np.ndarray:
    """(2, R, n) → (R,): Spearman's ρ of each row; NaN where a quantity is constant."""
    from scipy.stats import rankdata  # takes a second to import

    ranks = rankdata(pairs, axis=-1)
    ranks -= ranks.mean(-1, keepdims=True)
    spread = (ranks**2).sum(-1).prod(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(spread > 0, ranks.prod(0).sum(-1) / np.sqrt(spread), np.nan)


def _two(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
