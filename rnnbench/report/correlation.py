"""Do two quantities rise together, where some of their values are known as bounds alone? Kendall's τ over known pairs.

A lag beyond those measured is at least so large, and a length that can be learnt lies between the last one solved and
the first one failed. Such values are not taken for numbers: each is an interval, and a pair of points counts where both
quantities' intervals lie apart, so that it is known which is the larger. τ = (concordant − discordant) / known pairs:
Kendall's where all is known and nothing is tied, and 2C − 1 of Harrell's C (1982) where one quantity is censored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Fewer points have no interval worth the name.
LEAST = 4
RESAMPLES = 5000

#: Between which two bounds a value lies; both the same where it is known.
Bounds = tuple[float, float]


@dataclass(frozen=True)
class Correlation:
    """A rank correlation between two quantities of n points.

    Args:
        tau: Over the pairs whose order is known in both; None where there is none.
        low: The lower end of its 95 % interval, a percentile bootstrap over points; None where there is none.
        high: The upper end.
        points: n.
        pairs: How many pairs are known, of n (n − 1) / 2.
        undefined: The share of resamples without a known pair.
    """

    tau: float | None
    low: float | None
    high: float | None
    points: int
    pairs: int
    undefined: float

    def text(self) -> str:
        """``τ = 0.42 (95 %: −0.10 … 0.81) over the 41 pairs of 12 cells whose order is known``."""
        if self.tau is None:
            return f"τ undefined, {self.points} cells"
        interval = "" if self.low is None or self.high is None else f" (95 %: {_two(self.low)} … {_two(self.high)})"
        every = self.points * (self.points - 1) // 2
        known = "all" if self.pairs == every else f"the {self.pairs}"
        return f"τ = {_two(self.tau)}{interval} over {known} pairs of {self.points} cells" + (
            "" if self.pairs == every else " whose order is known"
        )


def kendall(x: Sequence[Bounds], y: Sequence[Bounds]) -> Correlation:
    """τ of two equally long sequences of bounds, infinities allowed, with a bootstrap over the points.

    A resample without a known pair has no τ. It says nothing about the sign, so it is left out of the percentiles and
    counted; where more than one in twenty are so, there is no interval. Resampling is seeded: the same points give the
    same interval.
    """
    count = len(x)
    points = sorted(zip(x, y, strict=True))  # in whatever order they come, the resamples are the same
    x, y = [one for one, _ in points], [other for _, other in points]
    signs = _order(x) * _order(y)  # (n, n): 1 concordant, −1 discordant, 0 not known
    tau, pairs = _tau(signs, np.arange(count)[None])
    drawn = np.random.default_rng(0).integers(count, size=(RESAMPLES, count)) if count else np.zeros((0, 0), dtype=int)
    found, _ = _tau(signs, drawn)
    defined = found[~np.isnan(found)]
    undefined = 1 - len(defined) / RESAMPLES
    low = high = None
    if count >= LEAST and pairs[0] and undefined <= 0.05:
        low, high = (float(end) for end in np.quantile(defined, (0.025, 0.975)))
    return Correlation(float(tau[0]) if pairs[0] else None, low, high, count, int(pairs[0]), undefined)


def _order(values: Sequence[Bounds]) -> NDArray[np.int64]:
    """(n, n): 1 where the first is known to be the larger, −1 where the second is, 0 where it is not known."""
    bounds = np.array(values, dtype=np.float64).reshape(-1, 2)
    low, high = bounds[:, 0], bounds[:, 1]
    above = (low[:, None] >= high[None, :]) & (high[:, None] > low[None, :])
    return above.astype(np.int64) - above.T.astype(np.int64)


def _tau(signs: NDArray[np.int64], drawn: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(R, n) indices → τ of each row, NaN without a known pair, and how many pairs are known."""
    taken = signs[drawn[:, :, None], drawn[:, None, :]] if drawn.size else np.zeros((len(drawn), 1, 1), dtype=np.int64)
    known = np.abs(taken).sum((1, 2)) // 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(known > 0, taken.sum((1, 2)) / 2 / known, np.nan), known


def _two(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
