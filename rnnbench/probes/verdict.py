"""Do gradients vanish? The decades lost or gained over a hundred lags, their interval over seeds, and the verdict.

The lags are the same whatever a model was trained on, so that a verdict says something of the model and not of its
training window. Torch-free.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rnnbench.intervals import student_interval
from rnnbench.probes.curve import Curve

Verdict = Literal["vanishing", "preserved", "exploding", "undecided"]

#: Lags over which decades are counted, or all that there are where a curve is shorter.
LAGS = 100
#: Decades that may be lost or gained over these lags where a gradient counts as preserved: a factor of ten either way.
BAND = 1.0


@dataclass(frozen=True)
class Judgement:
    """What the seeds' curves come to, in decades over ``lags`` lags: log₁₀ G(lags)/G(0).

    Args:
        decades: The mean over seeds; −∞ where a seed has no gradient left.
        low: The lower end of its 95 % Student-t interval over seeds; with an infinite one, the least of the seeds.
        high: The upper end; with an infinite one, the largest.
        lags: Over how many.
    """

    decades: float
    low: float
    high: float
    lags: int

    @property
    def half_width(self) -> float:
        """Half of the interval's width."""
        return (self.high - self.low) / 2

    @property
    def verdict(self) -> Verdict:
        """Vanishing if the interval lies below −1 decade, exploding if above 1, preserved if between.

        An interval that reaches over a border leaves it undecided: two seeds that disagree would otherwise count as
        proof that nothing is lost.
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
    """The judgement on some seeds' curves; None with fewer than two usable ones, which have no interval.

    Args:
        curves: One (K+1,) array of natural logs of G a seed. Left out is one with a NaN or an infinite gradient, and
            one that starts at no gradient.
    """
    usable = [c for c in curves if len(c) > 1 and math.isfinite(c[0]) and not (c != c).any() and c.max() < math.inf]
    if len(usable) < 2:
        return None
    shortest = min(map(len, usable))
    found = [lost_decades(curve[:shortest]) for curve in usable]
    values, lags = [value for value, _ in found], found[0][1]
    if not all(map(math.isfinite, values)):
        return Judgement(-math.inf, min(values), max(values), lags)
    low, high = student_interval(values)
    return Judgement(math.fsum(values) / len(values), low, high, lags)
