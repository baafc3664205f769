"""What several seeds say together: means with Student-t intervals; without torch.

A percentile bootstrap of so few scores is too short: of the interquartile mean of five it covers 90 % in place of 95. A
t interval covers what it says where scores are about normal, which those of seeds are (`benchmarks/coverage.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from rnnbench.intervals import student_interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Below this many seeds no interval is shown: the points are instead.
INTERVAL_SEEDS = 5


@dataclass(frozen=True)
class Estimate:
    """The score of several seeds.

    Args:
        values: One a seed.
        mean: Their mean.
        low: The lower end of its 95 % Student-t interval; None below five seeds.
        high: The upper end.
    """

    values: tuple[float, ...]
    mean: float
    low: float | None
    high: float | None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends, where there are any."""
        return None if self.low is None or self.high is None else (self.low, self.high)


def estimate(values: Sequence[float]) -> Estimate | None:
    """Mean and, from five values up, its 95 % interval; None of no values.

    An infinite score makes it infinite, of the same sign, without an interval.
    """
    return _estimate(tuple(values)) if values else None


@lru_cache(maxsize=4096)  # a table, its bold entries, figures and a page ask for the same
def _estimate(values: tuple[float, ...]) -> Estimate:
    if not all(map(math.isfinite, values)):
        return Estimate(values, sum(values) / len(values), None, None)
    mean = math.fsum(values) / len(values)
    if len(values) < INTERVAL_SEEDS:
        return Estimate(values, mean, None, None)
    return Estimate(values, mean, *student_interval(values))


def mean_band(curves: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The 95 % Student-t interval of the mean of several seeds' curves, point by point.

    Args:
        curves: (seeds, points), at least two seeds, finite.

    Returns:
        Its lower and its upper ends, (points,) each.
    """
    import numpy as np
    from scipy.special import stdtrit

    n = len(curves)
    mean = curves.mean(0)
    half = stdtrit(n - 1, 0.975) * curves.std(0, ddof=1) / np.sqrt(n)
    return mean - half, mean + half
