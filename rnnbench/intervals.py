"""How sure several seeds make a mean; nothing here imports torch."""

from __future__ import annotations

import math
from collections.abc import Sequence


def student_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % Student-t interval of the mean of at least two finite values."""
    from scipy.special import stdtrit  # the t distribution's quantile; scipy.stats takes a second to import

    n = len(values)
    mean = math.fsum(values) / n
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = float(stdtrit(n - 1, 0.975)) * deviation / math.sqrt(n)
    return mean - half, mean + half
