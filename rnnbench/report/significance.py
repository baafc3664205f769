"""What the scores of several seeds say: means with Student-t intervals, differences, rank correlations; without torch.

A percentile bootstrap of so few scores is too short: of the interquartile mean of five it covers 90 % in place of 95. A
t interval covers what it says where scores are about normal, which those of seeds are (`benchmarks/coverage.py`).

Between cells the seeds have nothing in common but a number, so the samples are independent: Welch's test. Where the
runs of a seed share their batches and their initial weights, as at two truncations, differences are taken seed by seed.
That two are equivalent is a claim of its own, for which a large p is no evidence: it takes two one-sided tests (TOST,
Schuirmann 1987) against a margin stated beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnnbench.intervals import student_interval

Floats = NDArray[np.float64]
#: Below this many seeds no interval is shown: the points are instead.
INTERVAL_SEEDS = 5
#: A correlation of fewer points has no interval.
INTERVAL_POINTS = 4
RESAMPLES = 5000

#: Between which two bounds a value lies; both the same where it is known.
Bounds = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """The scores of several seeds, their mean, and the ends of its 95 % interval (None below five seeds)."""

    values: tuple[float, ...]
    mean: float
    low: float | None = None
    high: float | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends, where there are any."""
        return None if self.low is None or self.high is None else (self.low, self.high)


def estimate(values: Sequence[float]) -> Estimate | None:
    """Mean and, from five values up, its 95 % Student-t interval; None of no values.

    An infinite score makes the mean infinite, of the same sign, without an interval.
    """
    if not values:
        return None
    finite = all(map(math.isfinite, values))
    mean = (math.fsum(values) if finite else sum(values)) / len(values)
    ends = student_interval(values) if finite and len(values) >= INTERVAL_SEEDS else (None, None)
    return Estimate(tuple(values), mean, *ends)


def mean_band(curves: Floats) -> tuple[Floats, Floats]:
    """(seeds ≥ 2, points) finite curves → the ends of their mean's 95 % interval at each point, (points,) each."""
    from scipy.special import stdtrit  # scipy.stats takes a second to import

    n = len(curves)
    mean = curves.mean(0)
    half = stdtrit(n - 1, 0.975) * curves.std(0, ddof=1) / np.sqrt(n)
    return mean - half, mean + half


@dataclass(frozen=True)
class Difference:
    """What two samples x and y come to."""

    mean: float  # of y − x
    low: float  # the lower end of its 95 % interval
    high: float  # the upper end
    p: float  # two-sided, of no difference
    # of the two one-sided tests, that |y − x| is less than the margin; None without a margin
    p_equivalent: float | None
    paired: bool  # were differences taken seed by seed?


def welch(x: Sequence[float], y: Sequence[float], margin: float | None = None) -> Difference:
    """Two independent samples of two or more finite scores each, whose variances may differ (Welch 1947)."""
    first, second = (float(np.var(sample, ddof=1)) / len(sample) for sample in (x, y))
    variance = first + second
    freedom = variance**2 / (first**2 / (len(x) - 1) + second**2 / (len(y) - 1)) if variance > 0 else 1.0
    mean = math.fsum(y) / len(y) - math.fsum(x) / len(x)
    return _difference(mean, math.sqrt(variance), freedom, margin, paired=False)


def paired(x: Sequence[float], y: Sequence[float], margin: float | None = None) -> Difference:
    """Two samples of two or more finite scores, the i-th of both of the same seed: Student's paired t-test."""
    each = np.asarray(y, dtype=float) - np.asarray(x, dtype=float)
    error = float(each.std(ddof=1)) / math.sqrt(len(each))
    return _difference(math.fsum(each) / len(each), error, len(each) - 1, margin, paired=True)


def _difference(mean: float, error: float, freedom: float, margin: float | None, paired: bool) -> Difference:
    from scipy.special import stdtr, stdtrit

    if error <= 1e-12 * abs(mean) or error == 0:  # equal differences are certain, or, of no size, none at all
        same = None if margin is None else float(abs(mean) >= margin)
        return Difference(mean, mean, mean, float(mean == 0), same, paired)
    p = 2 * float(stdtr(freedom, -abs(mean) / error))
    half = float(stdtrit(freedom, 0.975)) * error
    same = None if margin is None else float(stdtr(freedom, (abs(mean) - margin) / error))
    return Difference(mean, mean - half, mean + half, p, same, paired)


def holm(p: Sequence[float]) -> list[float]:
    """p-values corrected after Holm (1979): the k-th smallest of m times m − k, never smaller than one before it."""
    out, most = [0.0] * len(p), 0.0
    for k, index in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        most = max(most, min(1.0, (len(p) - k) * p[index]))
        out[index] = most
    return out


def probability_of_improvement(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float]:
    """P(X < Y) + ½ P(X = Y) of a run drawn from each sample, with its 95 % interval; an infinite score is a lost run's.

    The interval is Newcombe's method 5 (2006): all θ for which the observed share lies within 1.96 standard errors, the
    error being that of θ (Hanley & McNeil 1982) and not of the observation. So it does not shrink to a point where the
    samples are apart, as a bootstrap's does.
    """
    from scipy.optimize import brentq

    n, m = len(x), len(y)
    share = sum((a < b) + 0.5 * (a == b) for a in x for b in y) / (n * m)

    def beyond(theta: float) -> float:
        inner = (1 - theta) / (2 - theta) + theta / (1 + theta)
        variance = theta * (1 - theta) * (1 + ((n + m) / 2 - 1) * inner) / (n * m)
        return (theta - share) ** 2 - 1.959964**2 * variance

    # At 0 and 1 themselves the error is 0, and so is the function.
    low = 0.0 if share == 0 else float(brentq(beyond, 0.0, min(share, 1 - 1e-9)))
    high = 1.0 if share == 1 else float(brentq(beyond, max(share, 1e-9), 1.0))
    return share, low, high


@dataclass(frozen=True)
class Correlation:
    """A rank correlation between two quantities of n points."""

    tau: float | None  # over the pairs whose order is known in both; None where there is none
    # the lower end of its 95 % interval, a percentile bootstrap over points; None where there is none
    low: float | None
    high: float | None  # the upper end
    points: int  # n
    pairs: int  # how many pairs are known, of n (n − 1) / 2
    undefined: float  # the share of resamples without a known pair

    def text(self) -> str:
        """``τ = 0.42 (95 %: −0.10 … 0.81) over the 41 pairs of 12 cells whose order is known``."""
        if self.tau is None:
            return f"τ undefined, {self.points} cells"
        interval = "" if self.low is None or self.high is None else f" (95 %: {self.low:.2f} … {self.high:.2f})"
        every = self.pairs == self.points * (self.points - 1) // 2
        pairs = f"all pairs of {self.points} cells" if every else f"the {self.pairs} pairs of {self.points} cells"
        return f"τ = {self.tau:.2f}{interval} over {pairs}{'' if every else ' whose order is known'}".replace("-", "−")


def kendall(x: Sequence[Bounds], y: Sequence[Bounds]) -> Correlation:
    """τ of two equally long sequences of bounds, infinities allowed, with a bootstrap over the points.

    A resample without a known pair has no τ. It says nothing about the sign, so it is left out of the percentiles and
    counted; where more than one in twenty are so, there is no interval. Resampling is seeded: the same points give the
    same interval.
    """
    count = len(x)
    points = sorted(zip(x, y, strict=True))  # in whatever order they come, the resamples are the same
    signs = _order([one for one, _ in points]) * _order([other for _, other in points])
    tau, pairs = _tau(signs, np.arange(count)[None])
    drawn = np.random.default_rng(0).integers(count, size=(RESAMPLES, count)) if count else np.zeros((0, 0), dtype=int)
    resampled, _ = _tau(signs, drawn)
    defined = resampled[~np.isnan(resampled)]
    undefined = 1 - len(defined) / RESAMPLES
    low = high = None
    if count >= INTERVAL_POINTS and pairs[0] and undefined <= 0.05:
        low, high = (float(end) for end in np.quantile(defined, (0.025, 0.975)))
    return Correlation(float(tau[0]) if pairs[0] else None, low, high, count, int(pairs[0]), undefined)


def _order(values: Sequence[Bounds]) -> NDArray[np.int64]:
    """(n, n): 1 where the first is known to be the larger, −1 where the second is, 0 where it is not known."""
    low, high = np.array(values, dtype=np.float64).reshape(-1, 2).T
    above = (low[:, None] >= high[None, :]) & (high[:, None] > low[None, :])
    return above.astype(np.int64) - above.T.astype(np.int64)


def _tau(signs: NDArray[np.int64], drawn: NDArray[np.int64]) -> tuple[Floats, NDArray[np.int64]]:
    """(R, n) indices → τ of each row, NaN without a known pair, and how many pairs are known."""
    taken = signs[drawn[:, :, None], drawn[:, None, :]] if drawn.size else np.zeros((len(drawn), 1, 1), dtype=np.int64)
    known = np.abs(taken).sum((1, 2)) // 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(known > 0, taken.sum((1, 2)) / 2 / known, np.nan), known
