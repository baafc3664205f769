"""Do gradients vanish over a length? The slope of log G, its interval over seeds, and the verdict; torch-free."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rnnbench.intervals import student_interval
from rnnbench.probes.curve import Curve, fit

Verdict = Literal["vanishing", "preserved", "exploding", "undecided"]


@dataclass(frozen=True)
class Judgement:
    """What the seeds' curves come to, in nats a lag.

    Args:
        slope: γ, the mean over seeds of the slope of log G.
        low: The lower end of its 95 % Student-t interval over seeds.
        high: The upper end.
        delta: δ = ln 2 / T: a slope that halves or doubles the gradient over the whole length.
    """

    slope: float
    low: float
    high: float
    delta: float

    @property
    def half_width(self) -> float:
        """Half of the interval's width."""
        return (self.high - self.low) / 2

    @property
    def verdict(self) -> Verdict:
        """Vanishing if the interval lies below −δ, exploding if above δ, preserved if between.

        An interval that reaches over a border leaves it undecided: two seeds that disagree would otherwise count as
        proof that nothing is lost.
        """
        if self.high < -self.delta:
            return "vanishing"
        if self.low > self.delta:
            return "exploding"
        return "preserved" if -self.delta <= self.low and self.high <= self.delta else "undecided"


def judge(curves: Sequence[Curve], seq_len: int) -> Judgement | None:
    """The judgement on some seeds' curves; None with fewer than two usable ones, which have no interval.

    Args:
        curves: One (K+1,) array of natural logs of G a seed; one with a NaN, or that starts at no gradient, is left
            out.
        seq_len: T.
    """
    usable = [curve for curve in curves if curve.size > 1 and np.isfinite(curve[0]) and not np.isnan(curve).any()]
    slopes = [fit(curve)[0] for curve in usable]
    if len(slopes) < 2:
        return None
    low, high = student_interval(slopes)
    return Judgement(math.fsum(slopes) / len(slopes), low, high, math.log(2) / seq_len)
