"""Two samples of scores, one a seed: how far apart their means are, how sure that is, and whether they are equivalent.

Between cells the seeds have nothing in common but a number, so the samples are independent: Welch's test. Where the
runs of a seed share their batches and their initial weights, as at two truncations, differences are taken seed by seed.
That two are equivalent is a claim of its own, for which a large p is no evidence: it takes two one-sided tests (TOST,
Schuirmann 1987) against a margin stated beforehand. Without torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """What two samples x and y come to.

    Args:
        mean: Of y − x.
        low: The lower end of its 95 % interval.
        high: The upper end.
        p: Two-sided, of no difference.
        p_equivalent: Of the two one-sided tests, that |y − x| is less than the margin; None without a margin.
        paired: Were differences taken seed by seed?
    """

    mean: float
    low: float
    high: float
    p: float
    p_equivalent: float | None
    paired: bool


def welch(x: Sequence[float], y: Sequence[float], margin: float | None = None) -> Difference:
    """Two independent samples of two or more finite scores each, whose variances may differ (Welch 1947)."""
    parts = []
    for sample in (x, y):
        mean = math.fsum(sample) / len(sample)
        squares = math.fsum((value - mean) ** 2 for value in sample)
        parts.append((mean, squares / (len(sample) - 1) / len(sample), len(sample)))
    (one, first, n), (two, second, m) = parts
    variance = first + second
    freedom = variance**2 / (first**2 / (n - 1) + second**2 / (m - 1)) if variance > 0 else 1.0
    return _difference(two - one, math.sqrt(variance), freedom, margin, paired=False)


def paired(x: Sequence[float], y: Sequence[float], margin: float | None = None) -> Difference:
    """Two samples of two or more finite scores, the i-th of both of the same seed: Student's paired t-test."""
    each = [two - one for one, two in zip(x, y, strict=True)]
    mean = math.fsum(each) / len(each)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in each) / (len(each) - 1))
    return _difference(mean, deviation / math.sqrt(len(each)), len(each) - 1, margin, paired=True)


def _difference(mean: float, error: float, freedom: float, margin: float | None, paired: bool) -> Difference:
    from scipy.special import stdtr, stdtrit  # scipy.stats takes a second to import

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
    wins = sum((a < b) + 0.5 * (a == b) for a in x for b in y)
    n, m = len(x), len(y)
    found = wins / (n * m)
    mean_size = (n + m) / 2 - 1

    def beyond(theta: float) -> float:
        inner = (1 - theta) / (2 - theta) + theta / (1 + theta)
        return (theta - found) ** 2 - 1.959964**2 * theta * (1 - theta) * (1 + mean_size * inner) / (n * m)

    from scipy.optimize import brentq

    # At 0 and 1 themselves the error is 0, and so is the function.
    low = 0.0 if found == 0 else float(brentq(beyond, 0.0, min(found, 1 - 1e-9)))
    high = 1.0 if found == 1 else float(brentq(beyond, max(found, 1e-9), 1.0))
    return found, low, high
