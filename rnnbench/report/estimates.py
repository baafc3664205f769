"""What several seeds say together: interquartile means and bootstrap intervals (Agarwal et al. 2021); without torch.

The interquartile mean is the mean of the middle half of the scores: a run that went astray does not move it as it moves
a mean, and it uses more of the runs than a median. Its 95 % interval is a percentile bootstrap in which seeds are drawn
anew *within* each stratum (a cell at a length), never across. All draws are seeded: the same scores give the same
interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Below this many seeds no interval is shown: the points are instead.
INTERVAL_SEEDS = 5
#: Draws of a bootstrap, and of each of a band's points, which nobody reads to three digits.
RESAMPLES, BAND = 2000, 500
#: The share cut off at each end of the sorted scores.
QUARTER = 0.25


@dataclass(frozen=True)
class Estimate:
    """The score of several seeds.

    Args:
        values: One a seed.
        iqm: Their interquartile mean; below four seeds nothing is cut off, and it is the mean.
        low: The lower end of its 95 % bootstrap interval; None below five seeds.
        high: The upper end.
    """

    values: tuple[float, ...]
    iqm: float
    low: float | None
    high: float | None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends, where there are any."""
        return None if self.low is None or self.high is None else (self.low, self.high)


def estimate(values: Sequence[float]) -> Estimate | None:
    """Interquartile mean and, from five values up, its 95 % interval; None of no values.

    An infinite score that is not among those cut off makes it infinite, without an interval.
    """
    return _estimate(tuple(values)) if values else None


@lru_cache(maxsize=4096)  # a table, its bold entries, figures and a page ask for the same
def _estimate(values: tuple[float, ...]) -> Estimate:
    middle = iqm(values)
    if len(values) < INTERVAL_SEEDS or not all(map(math.isfinite, values)):
        return Estimate(values, middle, None, None)
    low, high = stratified_bootstrap([values])
    return Estimate(values, middle, low, high)


def iqm(values: Sequence[float]) -> float:
    """The interquartile mean: scipy's 25 % trimmed mean."""
    if len(values) * QUARTER < 1:  # nothing to cut; scipy.stats takes a second to import
        return math.fsum(values) / len(values)
    from scipy.stats import trim_mean

    return float(trim_mean(values, QUARTER))


def stratified_bootstrap(
    strata: Sequence[Sequence[float]], statistic: Callable[..., Any] | None = None
) -> tuple[float, float]:
    """The 95 % percentile interval of a statistic of several samples, each resampled by itself.

    Args:
        strata: The scores of each stratum, over seeds; finite.
        statistic: Of as many arrays (…, n_i), reduced over the last axis; None: the IQM of all of them pooled.
    """
    import numpy as np
    from scipy.stats import bootstrap

    samples = tuple(np.asarray(stratum, dtype=np.float64) for stratum in strata)
    found = bootstrap(
        samples,
        _last_axis(statistic or _pooled_iqm),
        paired=False,
        vectorized=True,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def iqm_band(curves: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The 95 % interval of the interquartile mean of several seeds' curves, point by point.

    Args:
        curves: (seeds, points), at least two seeds, finite.

    Returns:
        Its lower and its upper ends, (points,) each; the same seeds are drawn at every point.
    """
    import numpy as np
    from scipy.stats import trim_mean

    drawn = np.random.default_rng(0).integers(len(curves), size=(BAND, len(curves)))
    ends = [
        np.quantile(trim_mean(part[drawn], QUARTER, axis=1), (0.025, 0.975), axis=0)
        for part in np.array_split(curves, max(1, curves.shape[1] // 64), axis=1)  # a few MB at a time
    ]
    low, high = np.concatenate(ends, axis=1)
    return low, high


def iqm_curve(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """(seeds, points) → (points,): the interquartile mean over seeds."""
    from scipy.stats import trim_mean

    middle: NDArray[np.float64] = trim_mean(curves, QUARTER, axis=0)
    return middle


def _pooled_iqm(*samples: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np
    from scipy.stats import trim_mean

    middle: NDArray[np.float64] = trim_mean(np.concatenate(samples, axis=-1), QUARTER, axis=-1)
    return middle


def _last_axis(statistic: Callable[..., Any]) -> Callable[..., Any]:
    """scipy hands resamples with the seeds along ``axis``, which is the last."""

    def wrapped(*samples: NDArray[np.float64], axis: int = -1) -> Any:
        return statistic(*samples)

    return wrapped
