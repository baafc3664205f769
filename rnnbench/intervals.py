"""Confidence intervals of a mean over seeds and of a speed-up over rounds; nothing here imports torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median_high, median_low
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def student_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % Student-t interval of the mean of at least two finite values."""
    from scipy.special import stdtrit  # the t distribution's quantile; scipy.stats takes a second to import

    n = len(values)
    mean = math.fsum(values) / n
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = float(stdtrit(n - 1, 0.975)) * deviation / math.sqrt(n)
    return mean - half, mean + half


def speed_up(
    base: NDArray[np.float64], compared: NDArray[np.float64], resamples: int = 2000
) -> tuple[float, float, float]:
    """Ratio of medians base/compared with a paired-bootstrap 95 % interval: rounds are drawn, not single times.

    Both are (rounds,) seconds, the i-th of both from the same round. The draws are seeded.
    """
    import numpy as np

    rounds = np.random.default_rng(0).integers(len(base), size=(resamples, len(base)))
    ratios = np.median(base[rounds], axis=1) / np.median(compared[rounds], axis=1)
    low, high = np.percentile(ratios, [2.5, 97.5])
    return float(np.median(base) / np.median(compared)), float(low), float(high)


def known_median(values: Sequence[float]) -> float:
    """The median; of an even number, the lower one of the middle two where the upper is infinite.

    An infinite lag or length was not reached: half way between it and a known one nothing is known, and the lower of
    the two is a median as well.
    """
    low, high = median_low(values), median_high(values)
    return low if math.isinf(high) else (low + high) / 2
