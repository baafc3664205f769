"""What a gradient-flow curve says in a few numbers; nothing here imports torch.

Curves are log G(k), natural, at lags k = 0 … K; −∞ where there is no gradient at all. The first numbers to look at
assume no shape: the first lag at which G has fallen to half and to a hundredth of its maximum, and the share of all
gradient that comes from beyond a lag. The half-life of a fitted exponential describes the curve's tail: it is reported
with the range and the R² of its fit, and means nothing where the fit is bad.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnbench.intervals import student_interval

Curve = NDArray[np.float64]

#: A curve is fitted until G(k)/G(0) falls below this: what follows is rounding.
FLOOR = 1e-12
#: The half-life of a fit is shown only where its R² is above this.
GOOD_FIT = 0.98
#: Bits a symbol below which a longer context saves nothing of note: where functional memory ends.
WORTH = 0.01
#: Lags beyond which the share of all gradient is reported.
BEYOND = (10, 32, 100)


class Fit(NamedTuple):
    """A straight line through log G: its slope in nats a lag, R², and the first and the last lag of its range.

    R² is 0 of a range of two lags: a line goes through any two points, and says nothing of the curve.
    """

    slope: float
    r2: float
    first: int
    last: int

    @property
    def half_life(self) -> float:
        """τ ln 2 of log G(k) = a − k/τ, in lags; infinite where the line does not fall."""
        return -math.log(2) / self.slope if self.slope < -1e-12 else math.inf


def fit(log_g: Curve, start: int = 1, end: int | None = None) -> Fit:
    """The least-squares line through lags ``start`` … the last before G/G(0) first falls below 1e−12.

    Lag 0 is left out by default: at the last step an LSTM's loss reaches h alone. A curve with fewer than two such lags
    is fitted over lags 0 and 1; one without a gradient at lag 1 has a slope of −∞.

    log_g: (K + 1,), finite at lag 0. end: not beyond this lag.
    """
    relative = log_g - log_g[0]
    below = np.flatnonzero(relative < math.log(FLOOR))
    stop = int(below[0]) if below.size else relative.size
    stop = stop if end is None else min(stop, end + 1)
    if stop < start + 2:
        start, stop = 0, max(stop, 2)
        if relative[1] == -math.inf:
            return Fit(-math.inf, 0.0, 0, 1)
    lags = np.arange(start, stop) - (start + stop - 1) / 2
    values = relative[start:stop] - relative[start:stop].mean()
    slope = float(lags @ values / (lags @ lags))
    spread = float(values @ values)
    residual = float(((values - slope * lags) ** 2).sum())
    r2 = 0.0 if stop - start < 3 else 1.0 - residual / spread if spread > 0 else 1.0
    return Fit(slope, r2, start, stop - 1)


def falls_to(log_g: Curve, share: float) -> float:
    """The first lag after that of the maximum at which G is at most this share of it; infinite where none is."""
    top = int(log_g.argmax())
    fallen = np.flatnonzero(log_g[top:] - log_g[top] <= math.log(share))
    return float(top + fallen[0]) if fallen.size else math.inf


def share_beyond(log_g: Curve, lag: int) -> float | None:
    """Σ_{k > lag} G(k) / Σ_k G(k); None where no lag beyond was measured."""
    if len(log_g) <= lag + 1:
        return None
    weights = np.exp(log_g - log_g.max())
    return float(weights[lag + 1 :].sum() / weights.sum())


def effective_horizon(log_g: Curve, epsilon: float = 0.01) -> int:
    """H_ε = max{k : G(k) / max_j G(j) ≥ ε}, in steps: the last lag, where `falls_to` gives the first one below."""
    return int(np.flatnonzero(log_g - log_g.max() >= math.log(epsilon))[-1])


Verdict = Literal["vanishing", "preserved", "exploding", "undecided"]

#: Lags over which decades are counted, or all where a curve is shorter.
LAGS = 100
#: A gradient counts as preserved that loses or gains at most so many decades over these lags.
BAND = 1.0


@dataclass(frozen=True)
class Judgement:
    """The change of the seeds' curves in decades over ``lags`` lags, log₁₀ G(lags)/G(0), and its verdict."""

    #: The mean over seeds; −∞ where a seed has no gradient left.
    decades: float
    #: The ends of its 95 % Student-t interval over seeds; with an infinite one, the least and the largest of the seeds.
    low: float
    high: float
    lags: int

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2

    @property
    def verdict(self) -> Verdict:
        """Vanishing if the interval lies below −1 decade, exploding if above 1, preserved if between.

        An interval that reaches over a border leaves it undecided: otherwise two seeds that disagree would prove that
        nothing is lost.
        """
        if self.high < -BAND:
            return "vanishing"
        if self.low > BAND:
            return "exploding"
        return "preserved" if self.low >= -BAND and self.high <= BAND else "undecided"


def lost_decades(log_g: Curve) -> tuple[float, int]:
    """log₁₀ G(k)/G(0) at lag k = `LAGS`, or the last one of a shorter curve, and that lag."""
    lag = min(LAGS, len(log_g) - 1)
    return float(log_g[lag] - log_g[0]) / math.log(10), lag


def judge(curves: Sequence[Curve]) -> Judgement | None:
    """The judgement on some seeds' curves, (K + 1,) natural logs of G each; None of fewer than two usable ones.

    Left out are curves with a NaN or an infinite gradient, and those without a gradient at lag 0.
    """
    usable = [c for c in curves if len(c) > 1 and math.isfinite(c[0]) and not (c != c).any() and c.max() < math.inf]
    if len(usable) < 2:
        return None
    shortest = min(map(len, usable))
    values = [lost_decades(curve[:shortest])[0] for curve in usable]
    lags = min(LAGS, shortest - 1)
    if not all(map(math.isfinite, values)):
        return Judgement(-math.inf, min(values), max(values), lags)
    low, high = student_interval(values)
    return Judgement(math.fsum(values) / len(values), low, high, lags)
